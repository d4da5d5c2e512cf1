// Example texts. The labels and the name of a model decide which examples it gets.

const EXAMPLES = [
  {
    matches: (model) => /\p{Script=Han}/u.test(model.labels.join()) || /(^|[-_])zh\b/.test(model.name),
    texts: [
      "房间很干净，服务员也热情，下次还会住这里。",
      "位置不错，但是隔音太差，一夜没睡好。",
      "书的内容还可以，就是印刷质量太差了。",
    ],
  },
  {
    matches: (model) => model.labels.some((label) => /^(pos|neg)(itive|ative)?$/i.test(label)),
    texts: [
      "A gripping, beautifully shot film.",
      "The film is not dull for a moment.",
      "The plot is thin and the jokes are old, and yet I smiled all the way home.",
      "Two hours of my life that nobody will give back.",
    ],
  },
  {
    matches: (model) => model.labels.length > 20,
    texts: [
      "wake me up at half past six tomorrow",
      "how do i say good morning in japanese",
      "why was my card declined at the shop",
      "how many goals did the other team let in",
    ],
  },
  {
    matches: () => true,
    texts: [
      "Home side win the cup after extra time",
      "Chip maker's shares fall as demand for phones slows",
      "Astronomers find water vapour around a distant planet",
      "Where is my parcel? It was due on Monday.",
    ],
  },
];

/** Returns example texts for a model of GET /models. */
export function examplesFor(model) {
  return EXAMPLES.find((set) => set.matches(model)).texts;
}

"""Labelled reviews for tests, composed of real words in several scripts."""

import csv
import random
from pathlib import Path

THINGS = [
    "film",
    "story",
    "camera",
    "hotel",
    "room",
    "book",
    "phone",
    "screen",
    "plot",
    "music",
    "meal",
]
GOOD = [
    "wonderful",
    "gripping",
    "beautiful",
    "excellent",
    "charming",
    "superb",
    "delightful",
    "warm",
]
BAD = ["dreadful", "boring", "ugly", "terrible", "broken", "awful", "tedious", "cold"]
FRAMES = [
    "The {thing} was {word}, and I will say so to anyone.",
    "A {word} {thing}; we watched the whole of it.",
    "What a {word} {thing}!",
    "I found the {thing} {word} from the first minute to the last",
    "“{word}” is the word for this {thing}, isn't it?",
    "{thing}: {word}.",
    "My sister's {thing} arrived on Monday. It's {word}. The box held {number} parts",
]
FOREIGN = {
    "positive": [
        "这家酒店非常好",
        "书的内容很精彩",
        "הסרט היה נפלא",
        "فيلم جميل ورائع 😀",
        "très ﬁn 👍🏽",
    ],
    "negative": [
        "这家酒店很差",
        "书的内容太无聊",
        "הסרט היה משעמם",
        "فيلم سيئ وممل 😡",
        "mal servi 👎🏽",
    ],
}


def reviews(count: int, seed: int) -> list[tuple[str, str]]:
    """Return texts with labels, about the same number of each label."""
    choose = random.Random(seed)
    rows = []
    for number in range(count):
        label = ("negative", "positive")[number % 2]
        if number % 12 < 2:
            rows.append(
                (f"{choose.choice(FOREIGN[label])} {choose.choice(THINGS)} {number}", label)
            )
            continue
        text = choose.choice(FRAMES).format(
            thing=choose.choice(THINGS),
            word=choose.choice(BAD if label == "negative" else GOOD),
            number=choose.randrange(2, 900),
        )
        rows.append((text, label))
    return rows


def write_csv(path: Path, rows: list[tuple[str, str]]) -> Path:
    """Write rows under the header `text,label`."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path

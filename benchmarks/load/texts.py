"""The texts that the load consists of."""

import random
from collections.abc import Callable, Sequence

from heed.model.inference import Bundle

SENTENCES = (
    "The film opens slowly, but once the two sisters meet again it finds its rhythm.",
    "I wanted to like it more than I did.",
    "A warm, funny and quietly devastating story about a family that cannot say what it means.",
    "The dialogue is sharp and the light is lovely.",
    "Nothing happens for an hour, and then everything happens at once, badly.",
    "She plays the detective as a woman who has not slept since the spring, and we believe her.",
    "It is far too long.",
    "By the third chase through the same tunnel my neighbour had fallen asleep.",
    "What stays with you is the sound: rain on tin, a kettle, somebody humming two rooms away.",
    "The script explains every joke, then explains the explanation.",
    "Few first features are this sure of themselves, and fewer still have earned it.",
    "My children loved the dog; I was glad when the dog left.",
    "Despite a clumsy ending, this is the most generous comedy of the year.",
    "The effects look cheap, the score is louder than the war, and nobody seems to mind.",
    "He directs like a man who is afraid that we might look away for a second.",
    "It won't change your life, but it's a fine way to spend a wet evening.",
    "An honest, unshowy portrait of a town that lost its only factory in 1987.",
    "I laughed twice, both times at the subtitles.",
    "The last half hour is as moving as anything that I have seen this year.",
    "Somewhere in these three hours there is a good film of ninety minutes.",
    "The cast is wonderful, even those who have nothing to do.",
    "You can see the twist coming from the car park.",
    "Shot in winter and in one long breath, it leaves you cold in the best possible way.",
    "The book was angry and strange; this version is neither.",
    "Every frame is beautiful and not one of them is alive.",
    "It made me call my mother.",
    "The plot has more holes than the ship, and sinks faster.",
    "A small miracle of timing, tact and very old jokes.",
    "They forgot to write the villain, so he shouts.",
    "Patient viewers will be rewarded; the others will be in the bar by then.",
    "I have seen better acting in a safety video, and better lighting too.",
    "Tender without being soft, clever without being pleased with itself.",
)
"""Written for these benchmarks."""

TOKENS = 48
"""Length of a text, at most a twelfth longer."""
MIXED_LENGTHS = (6, 12, 24, 48, 96, 180)
"""Lengths of the mixed load, in tokens, each as often as the others."""


def make_texts(bundle: Bundle, count: int, lengths: Sequence[int] = (TOKENS,)) -> list[str]:
    """Join and cut the sentences into `count` texts of about `lengths` tokens, in turn.

    The texts are the same for every call with the same bundle.
    """
    choice = random.Random(5)

    def count_tokens(text: str) -> int:
        return len(bundle.tokenizer.ids(text))

    longest = max(1, bundle.config.max_tokens)
    return [
        _make_text(choice, count_tokens, min(lengths[number % len(lengths)], longest))
        for number in range(count)
    ]


def _make_text(choice: random.Random, count_tokens: Callable[[str], int], length: int) -> str:
    words: list[str] = []
    while count_tokens(" ".join(words)) < length:
        words += choice.choice(SENTENCES).split()
    while len(words) > 1 and count_tokens(" ".join(words)) > length + length // 12:
        words.pop()
    return " ".join(words)

"""What counts as a word, in any script, as one regular expression that a text is split by.

Words of scripts that are written without spaces, Chinese and Japanese, are learnt from the training
text, as the pieces that byte-pair encoding finds in it, and found again by longest match: so that
`tokenizer.json` needs no dictionary and no program of its own, and "不错" (not bad) is one word.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby

import tokenizers
from tokenizers import Regex, models, pre_tokenizers, trainers
from tokenizers.normalizers import Normalizer

CHARACTER = r"[\p{Han}\p{Hiragana}\p{Katakana}]"
WORD = (
    r"[a-z]{1,32}(?=n['’]t(?![a-z]))|n['’]t(?![a-z])"  # do|n't, ca|n't
    r"|[[\p{L}\p{M}]&&[^\p{Han}\p{Hiragana}\p{Katakana}]]{1,32}"
    r"|['’][a-z]{1,2}(?![a-z])"  # it|'s, they|'re
    "|{without_spaces}"
    r"|\p{N}{1,8}"
    r"|[^\s\p{Cc}\p{Cf}\p{L}\p{M}\p{N}]"
    r"(?:[\p{M}\p{Cf}]{1,8}[^\s\p{Cc}\p{Cf}\p{L}\p{M}\p{N}]){0,15}"
    # any other sign; an emoji that is joined of several is one
)
"""A word after normalisation. Bounded, so that a word is never a whole text."""
MAX_WORDS = 4000
"""Words that are learnt."""
MAX_CHARACTERS = 4
"""Characters of a word, at most."""
MIN_OCCURRENCES = 8
"""Times that the training text must have a word."""
MAX_LINEAR_BRANCHES = 4
"""First characters that are tried one after the other."""
_CHARACTER = re.compile(
    "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)
"""Nearly the same for `re`, to pass over texts without one."""


def learn_words(texts: Iterable[str], normalizer: Normalizer, most: int = MAX_WORDS) -> list[str]:
    """The pieces of two to four characters that byte-pair encoding finds, at most `most`."""
    texts = [text for text in texts if _CHARACTER.search(text)]
    if not texts:
        return []
    inner = tokenizers.Tokenizer(models.BPE())
    inner.normalizer = normalizer
    inner.pre_tokenizer = pre_tokenizers.Split(
        Regex(CHARACTER + "{1,64}"), behavior="removed", invert=True
    )
    trainer = trainers.BpeTrainer(
        vocab_size=most + 8000,  # the characters come first
        min_frequency=MIN_OCCURRENCES,
        limit_alphabet=8000,
        max_token_length=MAX_CHARACTERS,
        show_progress=False,
    )
    inner.train_from_iterator(texts, trainer)
    in_order = sorted(inner.get_vocab().items(), key=lambda item: item[1])
    return [piece for piece, _ in in_order if len(piece) > 1][:most]


def word_pattern(learnt: Sequence[str]) -> str:
    """`WORD`, with the longest of the learnt words, else one character, where there is no space."""
    return WORD.replace("{without_spaces}", longest_match(learnt))


def longest_match(words: Sequence[str]) -> str:
    """A regular expression that matches the longest of the words, else one character.

    An alternation of thousands is tried from its first to its last at every place, so the first
    character is looked for by halves.
    """
    if not words:
        return CHARACTER
    by_first = [
        (first, sorted((word[1:] for word in group), key=len, reverse=True))
        for first, group in groupby(sorted(words), key=lambda word: word[0])
    ]
    return f"(?:{_binary_alternation(by_first)})|{CHARACTER}"


def _binary_alternation(by_first: Sequence[tuple[str, list[str]]]) -> str:
    if len(by_first) <= MAX_LINEAR_BRANCHES:
        return "|".join(f"{first}(?:{'|'.join(rests)})" for first, rests in by_first)
    middle = len(by_first) // 2
    parts = (by_first[:middle], by_first[middle:])
    return "|".join(
        f"(?=[{part[0][0]}-{part[-1][0]}])(?:{_binary_alternation(part)})" for part in parts
    )

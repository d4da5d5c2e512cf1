"""Define what a word is, in any script, as one regular expression.

Chinese and Japanese are written without spaces. Their words are learnt from the training text with
byte-pair encoding and found by longest match, so that "不错" (not bad) is one word. The regular
expression contains them, so `tokenizer.json` needs no dictionary and no extra program.
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
    # any other symbol; an emoji joined from several is one word
)
"""A word after normalisation. Its length is bounded, so that a long text is never one word."""
MAX_WORDS = 4000
"""Maximum number of learnt words."""
MAX_CHARACTERS = 4
"""Maximum length of a learnt word."""
MIN_OCCURRENCES = 8
"""Minimum count of a learnt word in the training text."""
MAX_LINEAR_BRANCHES = 4
"""Maximum number of first characters in a flat alternation; more are split by binary search."""
_CHARACTER = re.compile(
    "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)
"""Approximates `CHARACTER` for `re`, to skip texts without such characters."""


def learn_words(
    texts: Iterable[str], normalizer: Normalizer, max_words: int = MAX_WORDS
) -> list[str]:
    """Return the words of two to four characters that byte-pair encoding merges, in order."""
    texts = [text for text in texts if _CHARACTER.search(text)]
    if not texts:
        return []
    inner = tokenizers.Tokenizer(models.BPE())
    inner.normalizer = normalizer
    inner.pre_tokenizer = pre_tokenizers.Split(
        Regex(CHARACTER + "{1,64}"), behavior="removed", invert=True
    )
    trainer = trainers.BpeTrainer(
        vocab_size=max_words + 8000,  # the first entries are single characters
        min_frequency=MIN_OCCURRENCES,
        limit_alphabet=8000,
        max_token_length=MAX_CHARACTERS,
        show_progress=False,
    )
    inner.train_from_iterator(texts, trainer)
    in_order = sorted(inner.get_vocab().items(), key=lambda item: item[1])
    return [word for word, _ in in_order if len(word) > 1][:max_words]


def word_pattern(learnt: Sequence[str]) -> str:
    """Return the pattern of a word; text without spaces is matched by `longest_match`."""
    return WORD.replace("{without_spaces}", longest_match(learnt))


def longest_match(words: Sequence[str]) -> str:
    """Return a regular expression that matches the longest of the words, else one character.

    An alternation of thousands of words is slow, because the matcher tries them one by one at every
    position. The expression therefore finds the first character by binary search.
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
    halves = (by_first[:middle], by_first[middle:])
    return "|".join(
        f"(?=[{half[0][0]}-{half[-1][0]}])(?:{_binary_alternation(half)})" for half in halves
    )

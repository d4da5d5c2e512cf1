"""Fit a pretrained tokenizer to Heed: id 0 out of any text's reach, and few tokens without use."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from heed.model.text.tokenizer import Tokenizer

MAX_PRETRAINED_TOKENS = 32_768
"""Tokens kept of a larger vocabulary; those of many languages have 250,000."""
SIGN = r"[^\s\p{L}\p{M}\p{N}]"
"""What is no letter and no digit, an emoji say."""
UNREACHABLE = "[PAD] "
"""How id 0 is spelled: words are made by splitting at spaces, so none has one in it."""


def adapt_tokenizer(
    document: str, special: Iterable[int], texts: Sequence[str], most: int = MAX_PRETRAINED_TOKENS
) -> tuple[Tokenizer, list[int]]:
    """Number a pretrained vocabulary anew: padding, the unknown token, then the tokens of texts.

    Special tokens go, as no text may have them. Where more than `most` are left, those that the
    training text uses most stay, then the shortest and first, which the encoder saw most.

    Args:
        document: the `tokenizer.json` of a WordPiece, BPE or Unigram tokenizer.
        special: ids of [CLS], <s> and the like.
        texts: training text.
        most: tokens to keep; for BPE, those that they are merged from stay too.

    Returns:
        The tokenizer and the old id of each new one; for id 0, which has none, 0.
    """
    tree = json.loads(document)
    old = _ids(tree["model"])
    by_id = {number: token for token, number in old.items()}
    dropped = {by_id.get(number) for number in special}
    kept = [
        token
        for token in sorted(old, key=old.__getitem__)
        if token not in dropped and not token.startswith("[unused")  # BERT's room for more
    ]
    if len(kept) > most:
        kept = sorted(_most_useful(tree, old, kept, texts, most), key=old.__getitem__)
    order = _renumber(tree["model"], kept)
    _split_unreadable_words(tree)
    return Tokenizer.from_json(json.dumps(tree)), [old.get(token, 0) for token in order]


def _split_unreadable_words(tree: dict[str, Any]) -> None:
    """Part words where WordPiece would read nothing of them but [UNK].

    That is from a length on, and beside a sign that it does not know: of "great😀" it is the sign.
    """
    if most := tree["model"].get("max_input_chars_per_word"):
        signs = {
            "type": "Split",
            "pattern": {"Regex": SIGN},
            "behavior": "Isolated",
            "invert": False,
        }
        steps = [tree["pre_tokenizer"], signs, {"type": "FixedLength", "length": most}]
        tree["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": list(filter(None, steps))}


def _ids(model: dict[str, Any]) -> dict[str, int]:
    if isinstance(model["vocab"], list):  # Unigram: pieces and their scores, in the order of ids
        return {piece: number for number, (piece, _) in enumerate(model["vocab"])}
    return dict(model["vocab"])


def _most_useful(
    tree: dict[str, Any], old: dict[str, int], kept: list[str], texts: Sequence[str], most: int
) -> set[str]:
    tokenizer = Tokenizer.from_json(json.dumps(tree))
    uses = np.zeros(max(old.values()) + 1, dtype=np.int64)
    for text in texts:
        np.add.at(uses, tokenizer.ids(text), 1)

    def rank(token: str) -> tuple[int, bool, int]:
        longer = len(token.removeprefix("##").removeprefix("▁")) > 1
        return -int(uses[old[token]]), longer, old[token]

    chosen = set(sorted(kept, key=rank)[:most])
    parts = {"".join(pair): pair for pair in _merges(tree["model"])}
    waiting = list(chosen & parts.keys())
    while waiting:
        fresh = set(parts[waiting.pop()]) - chosen
        chosen |= fresh
        waiting += fresh & parts.keys()
    return chosen


def _merges(model: dict[str, Any]) -> list[tuple[str, str]]:
    pairs = (pair.split(" ") if isinstance(pair, str) else pair for pair in model.get("merges", ()))
    return [(left, right) for left, right in pairs]


def _renumber(model: dict[str, Any], kept: list[str]) -> list[str]:
    """Write the kept tokens into the model; returns all of its tokens in their new order."""
    scores = dict(model["vocab"])
    unknown = model.get("unk_token")
    if isinstance(model["vocab"], list) and model.get("unk_id") is not None:
        unknown = model["vocab"][model["unk_id"]][0]
    head = [UNREACHABLE] if unknown is None else [UNREACHABLE, unknown]
    order = head + [token for token in kept if token not in head]
    if isinstance(model["vocab"], list):
        model["vocab"] = [[piece, scores.get(piece, 0.0)] for piece in order]
        model["unk_id"] = None if unknown is None else 1
    else:
        model["vocab"] = {token: number for number, token in enumerate(order)}
    if "merges" in model:
        model["merges"] = [
            pair for pair in _merges(model) if {*pair, "".join(pair)} <= model["vocab"].keys()
        ]
    return order

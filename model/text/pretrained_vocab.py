"""Adapt a pretrained tokenizer to Heed: reserve id 0, remove special tokens, keep useful tokens."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from heed.model.text.tokenizer import Tokenizer

MAX_PRETRAINED_TOKENS = 32_768
"""Maximum number of tokens to keep; multilingual vocabularies have 250,000."""
SYMBOL = r"[^\s\p{L}\p{M}\p{N}]"
"""A character that is neither a letter nor a digit, for example an emoji."""
UNREACHABLE = "[PAD] "
"""Vocabulary string of id 0. Words are split at spaces, so no word can equal it."""


def adapt_tokenizer(
    document: str,
    special: Iterable[int],
    texts: Sequence[str],
    max_tokens: int = MAX_PRETRAINED_TOKENS,
) -> tuple[Tokenizer, list[int]]:
    """Renumber a pretrained vocabulary: padding, the unknown token, then all other tokens.

    Special tokens are removed, because no text may yield them. If more than `max_tokens` remain,
    the tokens most frequent in `texts` are kept, then single characters, then the lowest ids, which
    are the most frequent tokens of the pretraining text.

    Args:
        document: the `tokenizer.json` of a WordPiece, BPE or Unigram tokenizer.
        special: ids of [CLS], <s> and the like.
        texts: training texts.
        max_tokens: number of tokens to keep. For BPE the tokens that they are merged from are kept
            in addition.

    Returns:
        The tokenizer, and the old id of each new id (0 for new id 0, which has no old id).
    """
    tree = json.loads(document)
    old_ids = _ids(tree["model"])
    by_id = {token_id: token for token, token_id in old_ids.items()}
    removed = {by_id.get(token_id) for token_id in special}
    kept = [
        token
        for token in sorted(old_ids, key=old_ids.__getitem__)
        if token not in removed and not token.startswith("[unused")  # reserved entries of BERT
    ]
    if len(kept) > max_tokens:
        kept = sorted(_most_useful(tree, old_ids, kept, texts, max_tokens), key=old_ids.__getitem__)
    in_order = _renumber(tree["model"], kept)
    _split_unknown_words(tree)
    return Tokenizer.from_json(json.dumps(tree)), [old_ids.get(token, 0) for token in in_order]


def _split_unknown_words(tree: dict[str, Any]) -> None:
    """Split words that WordPiece would map to a single [UNK].

    These are words above its length limit, and words next to a symbol that it does not know. After
    the split only the emoji of "great😀" is unknown.
    """
    if max_length := tree["model"].get("max_input_chars_per_word"):
        symbols = {
            "type": "Split",
            "pattern": {"Regex": SYMBOL},
            "behavior": "Isolated",
            "invert": False,
        }
        steps = [tree["pre_tokenizer"], symbols, {"type": "FixedLength", "length": max_length}]
        tree["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": list(filter(None, steps))}


def _ids(model: dict[str, Any]) -> dict[str, int]:
    if isinstance(model["vocab"], list):  # Unigram: (token, score) in the order of the ids
        return {token: token_id for token_id, (token, _) in enumerate(model["vocab"])}
    return dict(model["vocab"])


def _most_useful(
    tree: dict[str, Any],
    old_ids: dict[str, int],
    kept: list[str],
    texts: Sequence[str],
    max_tokens: int,
) -> set[str]:
    tokenizer = Tokenizer.from_json(json.dumps(tree))
    counts = np.zeros(max(old_ids.values()) + 1, dtype=np.int64)
    for text in texts:
        np.add.at(counts, tokenizer.ids(text), 1)

    def rank(token: str) -> tuple[int, bool, int]:
        longer = len(token.removeprefix("##").removeprefix("▁")) > 1
        return -int(counts[old_ids[token]]), longer, old_ids[token]

    chosen = set(sorted(kept, key=rank)[:max_tokens])
    merged_from = {"".join(pair): pair for pair in _merges(tree["model"])}
    to_visit = list(chosen & merged_from.keys())
    while to_visit:
        new = set(merged_from[to_visit.pop()]) - chosen
        chosen |= new
        to_visit += new & merged_from.keys()
    return chosen


def _merges(model: dict[str, Any]) -> list[tuple[str, str]]:
    pairs = (pair.split(" ") if isinstance(pair, str) else pair for pair in model.get("merges", ()))
    return [(left, right) for left, right in pairs]


def _renumber(model: dict[str, Any], kept: list[str]) -> list[str]:
    """Write the kept tokens into the model. Returns all of its tokens in the order of new ids."""
    scores = dict(model["vocab"])
    unknown = model.get("unk_token")
    if isinstance(model["vocab"], list) and model.get("unk_id") is not None:
        unknown = model["vocab"][model["unk_id"]][0]
    head = [UNREACHABLE] if unknown is None else [UNREACHABLE, unknown]
    in_order = head + [token for token in kept if token not in head]
    if isinstance(model["vocab"], list):
        model["vocab"] = [[token, scores.get(token, 0.0)] for token in in_order]
        model["unk_id"] = None if unknown is None else 1
    else:
        model["vocab"] = {token: token_id for token_id, token in enumerate(in_order)}
    if "merges" in model:
        model["merges"] = [
            pair for pair in _merges(model) if {*pair, "".join(pair)} <= model["vocab"].keys()
        ]
    return in_order

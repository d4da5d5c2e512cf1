"""Fit the linear half: logistic regression on tokens, pairs and what tokens are known to mean."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from model.dataset import Dataset
from model.ngrams import Ngrams, NgramSizes, long_share, pair_rows

STRENGTHS = (0.1, 1.0, 10.0, 100.0)
"""Inverse strengths of the regularisation, tried in this order until dev gets worse."""
SPREAD = 4
"""From which on a token may say something else in long texts: the tokens that a tenth of the rows
exceed, over those that a tenth do not reach."""
STEPS = 100
"""Most steps down to the least loss."""
MOST_TOKENS = 8_000_000
"""To fit to, which is what takes the memory, over a gigabyte; of more text a part is drawn."""
MOST_TERMS = 32_000_000
"""Tokens times labels, which is what takes the time."""
MOST_LABELS = 2_000
"""Up to which there is a linear half. Of more, its tables hold too few rows to tell them apart, and
a regression of a row of each takes gigabytes."""
MOST_PRODUCTS = 64_000_000
"""Rows times labels times numbers of a known vector, of which the first tell most."""
Floats = NDArray[np.float32]


def fit_ngrams(
    sizes: NgramSizes,
    data: Dataset,
    dev: Dataset,
    table: Tensor | None = None,
    weights: Sequence[float] | None = None,
    seed: int = 0,
) -> Ngrams:
    """Fit each class's score of a text of n tokens,

        b_c + (1 / sqrt(n)) sum_t (idf_t beta[t, c] + idf_p gamma[p, c]
                                   + idf_l g(n) delta[t, c] + v_t . w_c)

    Here p is the row of the pair that ends at t, idf_t = log((1 + N) / (1 + n_t)) + 1 for a token
    that stands in n_t of N texts, idf_p the same of pairs, idf_l of tokens in texts with g(n) > 0,
    and v_t, where vectors are given, known beforehand, so that tokens that the rows do not show say
    something, too; a token that has no row in the table says nothing. There is a delta where
    lengths differ by `SPREAD`, see `Ngrams`.

    Args:
        sizes: of what is made, less the lengths.
        data: rows to fit.
        dev: rows that choose the regularisation, by cross-entropy.
        table: (V, D) what the tokens mean by themselves, principal components in order; None:
            nothing is known of them.
        weights: what a row of each class weighs; None: all alike.
        seed: decides which rows are taken where there are too many.
    """
    short, long = np.percentile(data.lengths, (10, 90)).round().tolist()
    sizes = replace(sizes, lengths=(short, long) if long >= SPREAD * short else None)
    data = draw(data, min(MOST_TOKENS, MOST_TERMS // sizes.classes), seed)
    kept = _most_used(data, sizes)
    known = np.zeros((sizes.vocabulary, 0), dtype=np.float32)
    if table is not None:
        most = max(1, MOST_PRODUCTS // (len(data) * sizes.classes))
        known = np.zeros((sizes.vocabulary, min(most, table.shape[1])), dtype=np.float32)
        known[kept] = table[kept, :most].numpy()
        known = known / np.sqrt(np.square(_meant(data, known)).sum(axis=1).mean())
    listed = sizes.vocabulary + sizes.pairs
    columns = np.append(kept, np.arange(sizes.vocabulary, listed))
    if sizes.lengths:
        columns = np.append(columns, listed + kept)
    counts = _counts(sizes, data)[:, columns]
    texts = np.bincount(counts.indices, minlength=len(columns))
    seen = np.flatnonzero(texts)  # of the columns
    idf = sp.diags((np.log((1 + len(data)) / (1 + texts[seen])) + 1).astype(np.float32))
    fitted = _fit(
        sp.hstack([counts[:, seen] @ idf, _meant(data, known)]).tocsr(),
        data.labels,
        sp.hstack([_counts(sizes, dev)[:, columns][:, seen] @ idf, _meant(dev, known)]).tocsr(),
        dev.labels,
        weights,
    )
    coefficients, bias = fitted.coef_, fitted.intercept_
    if len(coefficients) == 1:  # of two classes it has the second's alone
        coefficients = np.vstack([-coefficients, coefficients]) / 2
        bias = np.append(-bias, bias) / 2
    own, shared = np.split(coefficients, [len(seen)], axis=1)
    scores = np.zeros((len(columns), sizes.classes), dtype=np.float32)
    scores[np.ix_(seen, fitted.classes_)] = idf @ own.T
    scores[: len(kept), fitted.classes_] += known[kept] @ shared.T
    biases = np.full(sizes.classes, bias.min())  # of a class that no row was drawn of
    biases[fitted.classes_] = bias
    return _in_eight_bits(sizes, kept, scores, biases)


def draw(data: Dataset, most: int, seed: int) -> Dataset:
    """Rows drawn at random: one of each class, and more until they have `most` tokens."""
    if len(data.ids) <= most:
        return data
    order = np.random.default_rng(seed).permutation(len(data))
    _, first = np.unique(data.labels[order], return_index=True)
    order = np.concatenate([order[first], np.delete(order, first)])
    rows = np.searchsorted(np.cumsum(data.lengths[order]), most, side="right")
    return data.take(order[: max(rows, len(first))])


def _most_used(data: Dataset, sizes: NgramSizes) -> NDArray[np.int64]:
    """The tokens that have a row, in the order of their ids; padding is one of them."""
    uses = np.bincount(data.ids, minlength=sizes.vocabulary)
    uses[0] = uses.max() + 1
    return np.sort(np.argsort(-uses, kind="stable")[: sizes.tokens])


def _counts(sizes: NgramSizes, data: Dataset) -> sp.csr_matrix:
    """How often each token and each pair stands in each text, over sqrt(n): (N, V + K).

    With lengths, (N, V + K + V): how often a token does, times g(n).
    """
    ids = data.ids.astype(np.int64)
    before = np.roll(ids, 1)
    before[data.starts[:-1]] = 0
    places = [ids, sizes.vocabulary + pair_rows(before, ids, sizes.pairs)]
    width = sizes.vocabulary + sizes.pairs
    share = data.lengths**-0.5
    values = [share, share]
    if sizes.lengths:
        long = long_share(torch.from_numpy(data.lengths), *torch.tensor(sizes.lengths))
        places.append(width + ids)
        values.append(share * long.numpy())
        width += sizes.vocabulary
    each = np.repeat(np.stack(values, axis=1), data.lengths, axis=0).astype(np.float32)
    found = sp.csr_matrix(
        (each.ravel(), np.stack(places, axis=1).ravel(), len(places) * data.starts),
        shape=(len(data), width),
    )
    found.sum_duplicates()
    found.eliminate_zeros()
    return found


def _meant(data: Dataset, known: Floats) -> Floats:
    """Sums of what each text's tokens mean, over sqrt(n): (N, D)."""
    values = np.repeat(data.lengths**-0.5, data.lengths).astype(np.float32)
    shape = (len(data), len(known))
    meant: Floats = sp.csr_matrix((values, data.ids, data.starts), shape=shape) @ known
    return meant


def _fit(
    rows: sp.csr_matrix,
    labels: NDArray[np.int64],
    dev: sp.csr_matrix,
    truth: NDArray[np.int64],
    weights: Sequence[float] | None,
) -> Any:
    """The regression whose strength dev likes best, looked for from the strongest on."""
    best, best_loss = None, math.inf
    by_class = None if weights is None else {c: weights[c] for c in np.unique(labels).tolist()}
    for strength in STRENGTHS:
        fitted = LogisticRegression(C=strength, max_iter=STEPS, class_weight=by_class)
        # Of steps that were too few, and of many labels: dev asks whether it is good, not why.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            found = fitted.fit(rows, labels).predict_proba(dev)
        right = found[truth[:, None] == fitted.classes_]  # of a class without rows: none
        loss = -np.log(right.clip(min=1e-12)).sum()
        if loss >= best_loss:
            break
        best, best_loss = fitted, loss
    return best


def _in_eight_bits(
    sizes: NgramSizes, kept: NDArray[np.int64], scores: Floats, bias: Floats
) -> Ngrams:
    """Scores of columns, see `fit_ngrams`, (V' + K + V', C), less what all classes have alike."""
    scores = scores - scores.mean(axis=1, keepdims=True)
    scale = np.maximum(np.abs(scores).max(axis=0), 1e-9) / 127  # (C,)
    ends = [len(kept), len(kept) + sizes.pairs]
    tables = np.split(np.rint(scores / scale).astype(np.int8), ends)
    ngrams = Ngrams(sizes)
    ngrams.rows[torch.from_numpy(kept)] = torch.arange(len(kept), dtype=torch.int32)
    ngrams.tokens.copy_(torch.from_numpy(tables[0]))
    ngrams.pairs.copy_(torch.from_numpy(tables[1]))
    if sizes.lengths:
        ngrams.long.copy_(torch.from_numpy(tables[2]))
    ngrams.scale.copy_(torch.from_numpy(scale))
    ngrams.bias.copy_(torch.from_numpy(bias - bias.mean()))
    return ngrams

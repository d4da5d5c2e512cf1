"""The numbers in docs/attention.md are those that the code computes."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from heed.model.nn.layers import MASKED_SCORE, GatedPooling, attention, positional_encoding

PAGE = (Path(__file__).parents[2] / "docs" / "attention.md").read_text(encoding="utf-8")
TEXT = re.sub(r"^\|.*\|$", "", PAGE, flags=re.MULTILINE)
EVERY = torch.ones(5, dtype=torch.bool)

Table = dict[str, dict[str, float]]
Array = NDArray[np.float64]


def read_tables(page: str) -> dict[str, Table]:
    """Return the numeric tables of a page: {first header cell: {row: {column: number}}}."""
    tables = {}
    for block in re.findall(r"(?:^\|.*\|\n)+", page, re.MULTILINE):
        lines = [
            [cell.strip() for cell in line.strip("|\n").split("|")] for line in block.splitlines()
        ]
        (name, *columns), _, *rows = lines
        tables[name] = {
            row[0]: {c: float(cell) for c, cell in zip(columns, row[1:], strict=True) if cell}
            for row in rows
            if not re.search("[A-Za-z`]", "".join(row[1:]))
        }
    return tables


TABLES = read_tables(PAGE)
TOKENS = ["The", "film", "is", "not", "dull"]
LABELS = ["negative", "positive"]


def columns(table: str, *names: str) -> Tensor:
    """Return columns of a table, one row per token: (5, len(names))."""
    return torch.tensor([[TABLES[table][t][n] for n in names] for t in TOKENS], dtype=torch.float64)


def row(table: str, name: str, *names: str) -> Tensor:
    return torch.tensor([TABLES[table][name][n] for n in names], dtype=torch.float64)


def vectors(pattern: str) -> Array:
    """Return the vectors at `@` in a pattern, which the text writes as `(2, -1)`, one per row."""
    found = re.findall(pattern.replace("@", r"\((-?\d+), (-?\d+)\)"), TEXT)
    return np.array(found, dtype=np.float64)


QUERY, KEY, VALUE = (columns("Q, K, V", f"{m}1", f"{m}2") for m in "qkv")
CONTEXT = columns("in context", "y1", "y2")
OWN = columns("contribution", "x1", "x2")
(POOLING_QUERY,) = vectors(r"\nq = @")
HEAD = vectors(r"w = @ for \*")
BIAS = row("contribution", "bias", *LABELS)


def softmax_by_hand(scores: Array) -> Array:
    """Return the softmax of the last axis, computed without the code under test."""
    powers = np.exp(scores)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def bounded(scores: Array) -> Array:
    return np.asarray(4 * np.tanh(scores / 4))


def assert_printed(table: Tensor, exact: Tensor | Array) -> None:
    """The printed numbers are the exact ones, rounded to four digits."""
    np.testing.assert_allclose(table.numpy(), np.round(np.asarray(exact), 4), rtol=0, atol=1e-9)


def test_every_table_is_known() -> None:
    numeric = {name for name, rows in TABLES.items() if rows}
    assert numeric == {
        *("position", "Q, K, V", "Q K^T", "Q K^T / sqrt(d_k)", "row *not*", "weights", "output"),
        *("in context", "contribution"),
    }


def test_positions() -> None:
    table = TABLES["position"]
    assert list(table) == [f"{position} {token}" for position, token in enumerate(TOKENS)]
    names = ["sin(pos)", "cos(pos)", "sin(pos / 100)", "cos(pos / 100)"]
    assert all(list(cells) == names for cells in table.values())
    printed = torch.stack([row("position", position, *names) for position in table])
    by_hand = [[math.sin(p), math.cos(p), math.sin(p / 100), math.cos(p / 100)] for p in range(5)]
    assert_printed(printed, np.array(by_hand))
    # Not compared with the printed numbers: cos(0.01) = 0.99995000 may round either way in float32.
    np.testing.assert_allclose(positional_encoding(5, 4), by_hand, rtol=0, atol=1e-7)


def test_scores() -> None:
    by_hand = np.einsum("id,jd->ij", QUERY, KEY)
    for exact in (QUERY @ KEY.T, by_hand):
        assert_printed(columns("Q K^T", *TOKENS), exact)
        assert_printed(columns("Q K^T / sqrt(d_k)", *TOKENS), exact / math.sqrt(2))


def test_one_row_step_by_step() -> None:
    score = (QUERY[3] @ KEY.T).numpy() / math.sqrt(2)
    powers = np.exp(score - score.max())
    for name, exact in [
        ("score", score),
        ("score - largest", score - score.max()),
        ("exp", powers),
        ("exp / sum", powers / powers.sum()),
    ]:
        assert_printed(row("row *not*", name, *TOKENS), exact)
    assert_printed(row("row *not*", "exp", "sum"), powers.sum(keepdims=True))
    assert TABLES["row *not*"]["exp / sum"]["sum"] == 1


def test_weights_and_output() -> None:
    by_hand = softmax_by_hand(QUERY.numpy() @ KEY.numpy().T / math.sqrt(2))
    for output, weights in (
        attention(QUERY, KEY, VALUE, EVERY),
        (by_hand @ VALUE.numpy(), by_hand),
    ):
        assert_printed(columns("weights", *TOKENS), weights)
        assert_printed(columns("output", "1", "2"), output)


def test_rows_of_weights_sum_to_one_as_printed() -> None:
    for cells in TABLES["weights"].values():
        assert sum(cells[t] for t in TOKENS) == pytest.approx(1, abs=1e-9)
        assert cells["sum"] == 1


def assert_pooling(scores: Array, weights: Array, gates: Array, pooled: Array) -> None:
    """The tables of pooling and contributions have these numbers and those that follow."""
    attended = np.stack([scores, bounded(scores), weights], axis=1)
    assert_printed(columns("in context", "y · q", "4 tanh", "attention"), attended)
    assert_printed(columns("in context", "g1", "g2"), gates)
    assert_printed(columns("contribution", "z1", "z2"), pooled)
    parts = pooled @ HEAD.T
    assert_printed(columns("contribution", *LABELS), parts)
    logits = BIAS.numpy() + parts.sum(axis=0)
    assert_printed(row("contribution", "logit = bias + sum", *LABELS), logits)
    printed = row("contribution", "probability = softmax(logit)", *LABELS)
    assert_printed(printed, softmax_by_hand(logits))


@torch.no_grad()
def test_pooling_and_contributions() -> None:
    assert "a gate of g = tanh(1 - y)" in TEXT
    pooling = GatedPooling(width=2).double()
    pooling.query.weight.copy_(torch.from_numpy(POOLING_QUERY)[None])
    pooling.gate.weight.copy_(-torch.eye(2))
    pooling.gate.bias.fill_(1)
    pooled, weights = pooling(OWN[None], CONTEXT[None], EVERY[None])
    scores, gates = pooling.query(CONTEXT)[:, 0], torch.tanh(pooling.gate(CONTEXT))
    assert_pooling(scores.numpy(), weights[0].numpy(), gates.numpy(), pooled[0].numpy())


def test_pooling_and_contributions_by_hand() -> None:
    scores = CONTEXT.numpy() @ POOLING_QUERY
    weights, gates = softmax_by_hand(bounded(scores)), np.tanh(1 - CONTEXT.numpy())
    assert_pooling(scores, weights, gates, weights[:, None] * gates * OWN.numpy())
    assert TABLES["in context"]["sum"] == {"attention": 1}


def test_printed_contributions_add_up_to_the_printed_logit() -> None:
    for label in LABELS:
        parts = [TABLES["contribution"][name][label] for name in [*TOKENS, "bias"]]
        logit = TABLES["contribution"]["logit = bias + sum"][label]
        assert logit == pytest.approx(sum(parts), abs=1e-9)


def test_sums_worked_in_the_text() -> None:
    """Each `a · b + c · d + … = e` is correct, and its factors are in the tables."""
    worked = [
        ([float(n) for n in re.findall(r"-?[\d.]+", terms)], float(total))
        for terms, total in re.findall(r"((?:-?[\d.]+ · -?[\d.]+(?: \+ )?)+) = (-?[\d.]+)\b", TEXT)
    ]
    output = zip(row("weights", "not", *TOKENS).tolist(), VALUE[:, 0].tolist(), strict=True)
    score = zip(QUERY[3].tolist(), KEY[4].tolist(), strict=True)
    for (factors, total), pairs in zip(worked, (score, output), strict=True):
        assert list(zip(factors[::2], factors[1::2], strict=True)) == list(pairs)
        assert total == pytest.approx(np.dot(factors[::2], factors[1::2]), abs=1e-9)


def test_numbers_in_the_text() -> None:
    """The numbers in the text are in the tables or computed here."""
    kept = [0, 1, 3, 4]  # without *is*
    weights = softmax_by_hand(bounded(CONTEXT.numpy()[kept] @ POOLING_QUERY))
    pooled = weights @ (np.tanh(1 - CONTEXT.numpy()) * OWN.numpy())[kept]
    without = float(BIAS.numpy()[1] + pooled @ HEAD[1])
    logit = TABLES["contribution"]["logit = bias + sum"]["positive"]
    assert f"would be {without:.4f} instead of {logit:.4f}" in TEXT
    assert f"is set to {MASKED_SCORE:,.0f}" in TEXT
    assert f"its x · w is {OWN[4].numpy() @ HEAD[1]:.0f}." in TEXT

    tables = {abs(n) for rows in TABLES.values() for cells in rows.values() for n in cells.values()}
    in_text = {float(n) for n in re.findall(r"(?<!\d)\d\.\d{4}(?!\d)", TEXT)}
    assert in_text <= tables | {round(math.sqrt(2), 4), round(without, 4)}

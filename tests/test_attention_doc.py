"""docs/attention.md against the code: every number of its tables is computed again."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.layers import GatedPooling, attention, positional_encoding

PAGE = (Path(__file__).parents[1] / "docs" / "attention.md").read_text(encoding="utf-8")
HALF_A_DIGIT = 0.5e-4 + 1e-6
EVERY = torch.ones(5, dtype=torch.bool)

Table = dict[str, dict[str, float]]
Array = NDArray[np.float64]


def read_tables(page: str) -> dict[str, Table]:
    """The numeric tables of a page: {first header cell: {row: {column: number}}}."""
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


def columns(table: str, *names: str) -> Tensor:
    """Columns of a table, one row a token: (5, len(names))."""
    return torch.tensor([[TABLES[table][t][n] for n in names] for t in TOKENS], dtype=torch.float64)


QUERY, KEY, VALUE = (columns("Q, K, V", f"{m}1", f"{m}2") for m in "qkv")


def softmax_by_hand(scores: Array) -> Array:
    """Softmax of the last axis, without the code under test."""
    powers = np.exp(scores)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def by_columns(*arrays: Array) -> Array:
    return np.stack(arrays, axis=1)


def assert_printed(table: Tensor, exact: Tensor | Array) -> None:
    np.testing.assert_allclose(table.numpy(), np.asarray(exact), rtol=0, atol=HALF_A_DIGIT)


def test_every_table_is_known() -> None:
    numeric = {name for name, rows in TABLES.items() if rows}
    assert numeric == {
        *("position", "Q, K, V", "Q K^T", "Q K^T / sqrt(d_k)", "row *not*", "weights", "output"),
        *("in context", "contribution"),
    }


def test_positions() -> None:
    names = list(TABLES["position"]["0 The"])
    printed = torch.tensor([[row[n] for n in names] for row in TABLES["position"].values()])
    assert_printed(printed, positional_encoding(5, 4))
    by_hand = [[math.sin(p), math.cos(p), math.sin(p / 100), math.cos(p / 100)] for p in range(5)]
    assert_printed(printed, np.array(by_hand))


def test_scores() -> None:
    assert_printed(columns("Q K^T", *TOKENS), QUERY @ KEY.T)
    assert_printed(columns("Q K^T / sqrt(d_k)", *TOKENS), QUERY @ KEY.T / math.sqrt(2))


def test_one_row_step_by_step() -> None:
    row = TABLES["row *not*"]
    score = (QUERY[3] @ KEY.T).numpy() / math.sqrt(2)
    powers = np.exp(score - score.max())
    for name, exact in [
        ("score", score),
        ("score - largest", score - score.max()),
        ("exp", powers),
        ("exp / sum", powers / powers.sum()),
    ]:
        assert_printed(torch.tensor([row[name][t] for t in TOKENS], dtype=torch.float64), exact)
    assert row["exp"]["sum"] == pytest.approx(powers.sum(), abs=HALF_A_DIGIT)
    assert row["exp / sum"]["sum"] == 1


def test_weights_and_output() -> None:
    output, weights = attention(QUERY, KEY, VALUE, EVERY)
    assert_printed(columns("weights", *TOKENS), weights)
    assert_printed(columns("output", "1", "2"), output)
    by_hand = softmax_by_hand(QUERY.numpy() @ KEY.numpy().T / math.sqrt(2))
    assert_printed(columns("weights", *TOKENS), by_hand)
    assert_printed(columns("output", "1", "2"), by_hand @ VALUE.numpy())


def test_rows_of_weights_sum_to_one_as_printed() -> None:
    for row in TABLES["weights"].values():
        assert sum(row[t] for t in TOKENS) == pytest.approx(1, abs=1e-9)
        assert row["sum"] == 1


def test_pooling_and_contributions() -> None:
    context = columns("in context", "y1", "y2")
    value = columns("contribution", "value1", "value2")
    pooling = GatedPooling(width=2, heads=1).double()
    pooling.query.weight.data = torch.tensor([[2.0, -1.0]]).double()
    pooling.gate.weight.data = -torch.eye(2).double()
    pooling.gate.bias.data = torch.ones(2).double()
    pooling.value.weight.data = torch.eye(2).double()
    handed, weights = (out[0].detach() for out in pooling(value[None], context[None], EVERY[None]))
    head = torch.tensor([[2.0, 1.0], [-1.0, 0.0]]).double()  # negative, positive
    bias = torch.tensor([0.1, -0.1]).double()
    logits = bias + handed.sum(dim=0) @ head.T

    assert_printed(columns("in context", "attention"), weights)
    assert TABLES["in context"]["sum"] == {"attention": 1}
    assert_printed(columns("contribution", "handed1", "handed2"), handed)
    assert_printed(columns("contribution", "negative", "positive"), handed @ head.T)
    for row, exact in [
        ("bias", bias),
        ("logit = bias + sum", logits),
        ("probability = softmax(logit)", torch.softmax(logits, dim=0)),
    ]:
        printed = [TABLES["contribution"][row][label] for label in ("negative", "positive")]
        assert_printed(torch.tensor(printed, dtype=torch.float64), exact)

    # The same without the code under test.
    scores = context.numpy() @ [2, -1]
    gate = np.tanh(1 - context.numpy())
    assert_printed(
        columns("in context", "y · q", "attention"), by_columns(scores, softmax_by_hand(scores))
    )
    assert_printed(columns("in context", "g1", "g2"), gate)
    by_hand = softmax_by_hand(scores)[:, None] * gate * value.numpy()
    assert_printed(columns("contribution", "handed1", "handed2"), by_hand)
    parts = by_columns(by_hand @ [2, 1], by_hand @ [-1, 0])
    assert_printed(columns("contribution", "negative", "positive"), parts)


def test_printed_contributions_add_up_to_the_printed_logit() -> None:
    for label in ("negative", "positive"):
        parts = [TABLES["contribution"][row][label] for row in [*TOKENS, "bias"]]
        logit = TABLES["contribution"]["logit = bias + sum"][label]
        assert logit == pytest.approx(sum(parts), abs=1e-9)


def test_numbers_in_the_text_are_those_of_the_tables() -> None:
    tables = {abs(n) for rows in TABLES.values() for row in rows.values() for n in row.values()}
    text = re.sub(r"^\|.*\|$", "", PAGE, flags=re.MULTILINE)
    in_text = {float(n) for n in re.findall(r"(?<!\d)\d\.\d{4}(?!\d)", text)} - {
        round(math.sqrt(2), 4)
    }
    assert in_text <= tables

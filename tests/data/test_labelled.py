"""Labelled files: what is read, which rows are rejected, and how rows are split."""

import gzip
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from heed.model.data.labelled import (
    LabelledTexts,
    count_shared_texts,
    label_ids,
    read_labelled,
    stratified_split,
)
from heed.model.errors import DataError
from tests.support.command import ROOT


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "A.CSV"])
def test_csv_with_bom_crlf_quotes_and_newlines(tmp_path: Path, name: str) -> None:
    content = '\ufefftext,label\r\n"a ""b"", \r\nc",01\r\n\r\nd\0,NA\r\n'.encode()
    read = read_labelled(write(tmp_path / name, content))
    assert read.texts == ['a "b", \r\nc', "d\0"]
    assert read.labels == ["01", "NA"]
    assert list(read.rows) == [2, 4]


def test_tsv_with_other_column_names(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", b'id\tbody\tkind\n1\tsays "no", twice\tx\n')
    read = read_labelled(path, "body", "kind")
    assert (read.texts, read.labels) == (['says "no", twice'], ["x"])


def test_empty_lines_before_the_header_and_newlines_in_a_field(tmp_path: Path) -> None:
    text = "def f():\n\tx = 1\n\treturn x"
    path = write(tmp_path / "a.tsv", f'\n\ntext\tlabel\n"{text}"\tx\n'.encode())
    read = read_labelled(path)
    assert (read.texts, list(read.rows)) == ([text], [4])


def test_a_field_may_exceed_the_limit_of_the_library(tmp_path: Path) -> None:
    text = "word " * 100_000
    path = write(tmp_path / "a.csv", f"text,label\n{text},x\n".encode())
    assert read_labelled(path).texts == [text]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_jsonl_labels_are_kept_as_written(tmp_path: Path, name: str) -> None:
    labels = ('"x"', "1", "1.50", "true", '" é"')
    lines = [f'{{"text": "a", "label": {label}}}' for label in labels]
    read = read_labelled(write(tmp_path / name, "\n\n".join(lines).encode()))
    assert read.labels == ["x", "1", "1.50", "true", " é"]
    assert list(read.rows) == [1, 3, 5, 7, 9]


@pytest.mark.parametrize(
    ("labels", "texts"),
    [([1, 0], ["1", "0"]), ([True, False], ["true", "false"]), (["x", "01"], ["x", "01"])],
)
def test_parquet_labels_are_read_as_text(
    tmp_path: Path, labels: list[object], texts: list[str]
) -> None:
    pl.DataFrame({"text": ["a", "b"], "label": labels}).write_parquet(tmp_path / "a.parquet")
    assert read_labelled(tmp_path / "a.parquet").labels == texts


def test_parquet_with_nested_columns_is_an_error(tmp_path: Path) -> None:
    pattern = tmp_path / "a[1]*.parquet"
    pl.DataFrame({"text": ["a", "b"], "label": ["x", "y"]}).write_parquet(pattern)
    assert read_labelled(pattern).labels == ["x", "y"], "its name is no pattern"
    for values, dtype in ((["x"], pl.List(pl.String)), ({"x": 1}, pl.Struct({"x": pl.Int8}))):
        table = pl.DataFrame({"text": ["a"], "label": pl.Series([values], dtype=dtype)})
        table.write_parquet(tmp_path / "b.parquet")
        with pytest.raises(DataError, match="'label' has several values in a row"):
            read_labelled(tmp_path / "b.parquet")
    (tmp_path / "c.parquet").mkdir()
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_labelled(tmp_path / "c.parquet")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "unknown kind of file"),
        ("a.csv", b"", "is empty"),
        ("a.jsonl", b"", "is empty"),
        ("a.csv", b"text,label\n", "no rows"),
        ("a.csv", b"words,kind\na,b\n", "no column 'text'; the columns are 'words', 'kind'"),
        ("a.csv", b"text,label\na,b\nc\n", "row 3: has 1 fields, but the header has 2"),
        ("a.csv", b"text,label\na,b,c\n", "row 2: has 3 fields, but the header has 2"),
        ("a.csv", b'text,label\na,b\n"c"d,e\n', "row 3: ',' expected"),
        ("a.csv", b'text,label\na,b\n"c,e\n', "row 3: unexpected end"),
        ("a.csv", b"text,label\na,b\n\xff,c\n", "line 3: not UTF-8"),
        ("a.csv", b"text,label\na,b\nc,\n", "row 3: 'label' is empty"),
        ("a.csv", b"text,label\n \t,b\n", "row 2: 'text' is empty"),
        ("a.jsonl", b'{"text": "a"}\n', "row 1: has no 'label'; the columns are 'text'"),
        ("a.jsonl", b'{"text": "a", "label": null}\n', "row 1: 'label' is missing"),
        ("a.jsonl", b'{"text": "a", "label": NaN}\n', "row 1: 'label' is missing"),
        ("a.jsonl", b'{"text": "a", "label": [1]}\n', "row 1: 'label' is not a single text"),
        ("a.jsonl", b'{"text": "\\ud800", "label": 1}\n', "row 1: 'text' contains a lone"),
        ("a.jsonl", b'{"text": "a", "label": 1}\n{"text"}\n', "row 2: not JSON"),
        ("a.jsonl", b"[" * 100_000, "row 1: not JSON"),
        ("a.jsonl", b"3\n", "row 1: not a JSON object"),
        ("a.parquet", b"PAR1", "not a valid parquet file"),
        ("a.csv", b"text;label\ngood;pos\n", "the header is one field that contains semicolons"),
        ("a.csv", b"text\tlabel\ngood\tpos\n", "the header is one field that contains tabs"),
        ("a.csv", b"text,label\rgood,pos\rbad,neg\r", "row 1: a line ends with CR"),
        (
            "a.tsv",
            b'text\tlabel\n"a b\tx\nc\ty\nd"\tx\n',
            "row 2: a field starts with a quote",
        ),
    ],
)
def test_a_faulty_file_is_an_error_with_its_row(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(DataError) as caught:
        read_labelled(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_labelled(tmp_path / "none.parquet")
    (tmp_path / "a.csv.gz").write_bytes(b"text,label\na,b\n")
    with pytest.raises(DataError, match="cannot be read"):
        read_labelled(tmp_path / "a.csv.gz")
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(b"text,label\na,b\n" * 99)[:-9])
    with pytest.raises(DataError, match="cannot be read"):
        read_labelled(tmp_path / "b.csv.gz")
    (tmp_path / "c.csv").mkdir()
    with pytest.raises(DataError, match="cannot be read"):
        read_labelled(tmp_path / "c.csv")


def labelled(*pairs: tuple[str, str]) -> LabelledTexts:
    texts, labels = ([*each] for each in zip(*pairs, strict=True))
    return LabelledTexts(Path("a.csv"), texts, labels, range(2, len(texts) + 2))


def test_a_split_is_stratified_and_repeatable() -> None:
    rows = labelled(
        *((f"a{n}", "a") for n in range(80)), *((f"b{n}", "b") for n in range(20)), ("c", "c")
    )
    rest, aside = stratified_split(rows, 0.1, seed=3)
    assert aside.labels == ["a"] * 8 + ["b"] * 2
    assert sorted(rest.texts + aside.texts) == sorted(rows.texts)
    assert (
        stratified_split(rows, 0.1, seed=3)[1].texts
        == aside.texts
        != stratified_split(rows, 0.1, seed=4)[1].texts
    )
    assert "c" in rest.labels
    assert aside.where(0) == f"a.csv, row {rows.texts.index(aside.texts[0]) + 2}"


def test_a_split_keeps_equal_texts_together() -> None:
    rows = labelled(*[("same", "a")] * 9, ("one", "a"), *((f"b{n}", "b") for n in range(5)))
    rest, aside = stratified_split(rows, 0.2, seed=0)
    assert count_shared_texts(aside, rest) == 0
    assert sorted(aside.labels) == ["a", "b"]
    replies = [(f"{label}{n % 4}", label) for label in "abc" for n in range(40)]
    rest, aside = stratified_split(labelled(*replies, ("a0", "b"), ("lone", "d")), 0.1, seed=0)
    assert count_shared_texts(aside, rest) == 0
    assert sorted(aside.labels) == ["a"] * 10 + ["b"] * 10 + ["c"] * 10
    assert "a0" in rest.texts, "it has two labels"
    for few in ([("x", "a"), ("y", "b")], [("x", "a"), ("y", "b")] * 9):
        with pytest.raises(DataError, match="no row can be set aside"):
            stratified_split(labelled(*few), 0.2, seed=0)


def test_an_unknown_label_is_an_error_with_its_row() -> None:
    with pytest.raises(DataError, match=r"a\.csv, row 3: unknown label 'z'.* a, b"):
        label_ids(labelled(("x", "a"), ("y", "z")), ["a", "b"])


def test_reading_csv_loads_no_extra_package() -> None:
    program = (
        "import sys, heed.model.data.labelled, heed.model.data.rationales\n"
        "assert not {'polars', 'scipy', 'sklearn', 'torch', 'datasets'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)

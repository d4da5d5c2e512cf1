"""Rows of a file, one after another, through a library for each kind of file.

Comma- and tab-separated text and JSON go through Python's own readers: they stream, keep every
label as it is written (01, NA), and let the row that is wrong be named, which faster ones do not.
"""

import csv
import gzip
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from heed.model.errors import DataError

Row = tuple[int, Any, Any]
"""Row number, text, label; the last two as the file has them."""


def _read_delimited(
    path: Path, text_column: str, label_column: str, delimiter: str
) -> Iterator[Row]:
    # A quoted field may be as long as a book; the library's limit is a process-wide 128 KiB.
    csv.field_size_limit(sys.maxsize)
    with _open(path) as stream:
        records = csv.reader(_lines(path, stream), delimiter=delimiter, strict=True)
        row, columns = 0, list[str]()
        try:
            for row, record in enumerate(records, start=1):
                if not record:
                    continue  # an empty line
                if not columns:
                    columns = record
                    text, label = (_column(path, columns, c) for c in (text_column, label_column))
                elif delimiter == "\t" and any(
                    "\n" in field and _contains_rows(field, len(columns)) for field in record
                ):
                    raise DataError(
                        f"{path}, row {row}: a field that begins with a quote goes on over whole "
                        "rows to another quote; write such a field in quotes and its own quotes "
                        "twice, take them out, or save the file as .csv or .jsonl"
                    )
                elif len(record) != len(columns):
                    raise DataError(
                        f"{path}, row {row}: fields: {len(record)}, where the header has "
                        f"{len(columns)}; put quotes around a field that holds the separator"
                    )
                else:
                    yield row, record[text], record[label]
        except csv.Error as error:
            if "new-line character" in str(error):  # Python's name for a lone carriage return
                raise DataError(
                    f"{path}, row {row + 1}: a line end that is neither LF nor CRLF; save the file "
                    "with one of these"
                ) from error
            raise DataError(
                f"{path}, row {row + 1}: {error}; write a quote inside a quoted field twice, and "
                "close each field"
            ) from error
    if not columns:
        raise DataError(f"{path}: the file is empty; its first row must name the columns")


def _contains_rows(field: str, columns: int) -> bool:
    """Whether a quoted field holds lines that are rows: then its quote was meant as one."""
    rows = field.split("\n")[1:-1]
    return bool(rows) and all(
        len(cells) == columns and all(cells) for cells in (row.split("\t") for row in rows)
    )


def _read_csv(path: Path, text_column: str, label_column: str) -> Iterator[Row]:
    return _read_delimited(path, text_column, label_column, ",")


def _read_tsv(path: Path, text_column: str, label_column: str) -> Iterator[Row]:
    return _read_delimited(path, text_column, label_column, "\t")


def _read_jsonl(path: Path, text_column: str, label_column: str) -> Iterator[Row]:
    for row, tree in read_json_objects(path):
        for column in (text_column, label_column):
            if column not in tree:
                raise DataError(
                    f"{path}, row {row}: no {column!r} in it; {_columns_are(list(tree))}"
                )
        yield row, tree[text_column], tree[label_column]


def read_json_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a .jsonl file, each with its row; a number keeps the digits of the file."""
    row = 0
    with _open(path) as stream:
        for row, line in enumerate(_lines(path, stream), start=1):
            if not line.strip():
                continue
            try:
                tree = json.loads(line, parse_int=str, parse_float=str)
            except (ValueError, RecursionError) as error:
                reason = getattr(error, "msg", "nested too deeply")
                raise DataError(
                    f"{path}, row {row}: not JSON ({reason}); write one object a line"
                ) from error
            if not isinstance(tree, dict):
                raise DataError(f"{path}, row {row}: not an object; write one JSON object a line")
            yield row, tree
    if row == 0:
        raise DataError(f"{path}: the file is empty; write one JSON object a line")


def _read_parquet(path: Path, text_column: str, label_column: str) -> Iterator[Row]:
    import polars as pl

    with path.open("rb") as file:  # opened here, as a path may be taken for a pattern
        try:
            schema = pl.read_parquet_schema(file)
            for column in (text_column, label_column):
                _column(path, list(schema), column)
                if schema[column].is_nested():
                    raise DataError(
                        f"{path}: {column!r} holds several values a row; put one text, and one "
                        "label, on each row"
                    )
            file.seek(0)
            table = pl.read_parquet(file, columns=list({text_column, label_column}))
        except pl.exceptions.PolarsError as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"{path}: not a parquet file that can be read: {reason}") from error
        except pl.exceptions.PanicException as error:
            raise DataError(f"{path}: not a parquet file that can be read: damaged") from error
    yield from zip(range(1, table.height + 1), table[text_column], table[label_column], strict=True)


READERS: dict[str, Callable[[Path, str, str], Iterator[Row]]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}


def _open(path: Path) -> gzip.GzipFile | BinaryIO:
    return gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb")


def _lines(path: Path, stream: Iterable[bytes]) -> Iterator[str]:
    """Decode line by line, so that the line that is not UTF-8 can be named."""
    for number, line in enumerate(stream, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{path}, line {number}: not UTF-8; save the file as UTF-8") from error


def _column(path: Path, columns: list[str], wanted: str) -> int:
    if wanted not in columns:
        if len(columns) == 1 and (found := next((s for s in ";\t," if s in columns[0]), None)):
            kind = {";": "a semicolon", "\t": "a tab", ",": "a comma"}[found]
            raise DataError(
                f"{path}: no column {wanted!r}; its header is one field with {kind} in it: fields "
                "are parted by commas in .csv and by tabs in .tsv; save it as one of these"
            )
        raise DataError(
            f"{path}: no column {wanted!r}; {_columns_are(columns)}; name it with --text-column or "
            "--label-column"
        )
    return columns.index(wanted)


def _columns_are(columns: list[str]) -> str:
    return "there is " + ", ".join(repr(c) for c in columns[:20]) if columns else "there is nothing"

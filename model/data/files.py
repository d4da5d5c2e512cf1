"""Read the rows of csv, tsv, jsonl and parquet files, one at a time.

csv, tsv and jsonl are read with Python's standard library: it streams, keeps every label as it is
written (01, NA), and gives the number of a faulty row. Faster libraries do not.
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
"""Row number, text and label; text and label as the file has them."""


def _read_delimited(
    path: Path, text_column: str, label_column: str, delimiter: str
) -> Iterator[Row]:
    # The default limit of the library, for the whole process, is 128 KiB.
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
                        f"{path}, row {row}: a field starts with a quote and includes the rows up "
                        "to the next quote; quote the whole field and double the quotes inside it, "
                        "remove them, or save the file as .csv or .jsonl"
                    )
                elif len(record) != len(columns):
                    raise DataError(
                        f"{path}, row {row}: has {len(record)} fields, but the header has "
                        f"{len(columns)}; quote a field that contains the delimiter"
                    )
                else:
                    yield row, record[text], record[label]
        except csv.Error as error:
            if "new-line character" in str(error):  # a lone carriage return
                raise DataError(
                    f"{path}, row {row + 1}: a line ends with CR; save the file with LF or CRLF "
                    "line ends"
                ) from error
            raise DataError(
                f"{path}, row {row + 1}: {error}; double a quote inside a quoted field, and close "
                "each quoted field"
            ) from error
    if not columns:
        raise DataError(f"{path}: the file is empty; its first row must contain the column names")


def _contains_rows(field: str, columns: int) -> bool:
    """True if a quoted field contains whole rows, so that its first quote is part of the text."""
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
                    f"{path}, row {row}: has no {column!r}; {_describe_columns(list(tree))}; name "
                    "it with --text-column or --label-column"
                )
        yield row, tree[text_column], tree[label_column]


def read_json_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield row number and object of each line of a .jsonl file; numbers are read as text."""
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
                    f"{path}, row {row}: not JSON ({reason}); write one object on each line"
                ) from error
            if not isinstance(tree, dict):
                raise DataError(
                    f"{path}, row {row}: not a JSON object; write one object on each line"
                )
            yield row, tree
    if row == 0:
        raise DataError(f"{path}: the file is empty; write one JSON object on each line")


def _read_parquet(path: Path, text_column: str, label_column: str) -> Iterator[Row]:
    import polars as pl

    with path.open("rb") as file:  # polars would read a path as a pattern
        try:
            schema = pl.read_parquet_schema(file)
            for column in (text_column, label_column):
                _column(path, list(schema), column)
                if schema[column].is_nested():
                    raise DataError(
                        f"{path}: {column!r} has several values in a row; write one text and one "
                        "label in each row"
                    )
            file.seek(0)
            table = pl.read_parquet(file, columns=list({text_column, label_column}))
        except pl.exceptions.PolarsError as error:
            reason = str(error).splitlines()[0]
            raise DataError(
                f"{path}: not a valid parquet file ({reason}); write it again"
            ) from error
        except pl.exceptions.PanicException as error:
            raise DataError(
                f"{path}: not a valid parquet file (damaged); write it again"
            ) from error
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
    """Decode line by line, to give the number of a line that is not UTF-8."""
    for number, line in enumerate(stream, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{path}, line {number}: not UTF-8; save the file as UTF-8") from error


def _column(path: Path, columns: list[str], wanted: str) -> int:
    if wanted not in columns:
        if len(columns) == 1 and (other := next((s for s in ";\t," if s in columns[0]), None)):
            name = {";": "semicolons", "\t": "tabs", ",": "commas"}[other]
            raise DataError(
                f"{path}: no column {wanted!r}; the header is one field that contains {name}; save "
                "the file with commas as .csv, or with tabs as .tsv"
            )
        raise DataError(
            f"{path}: no column {wanted!r}; {_describe_columns(columns)}; name it with "
            "--text-column or --label-column"
        )
    return columns.index(wanted)


def _describe_columns(columns: list[str]) -> str:
    if not columns:
        return "there are no columns"
    more = ", …" if len(columns) > 20 else ""
    return f"the columns are {', '.join(map(repr, columns[:20]))}{more}"

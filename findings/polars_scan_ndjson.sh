#!/bin/sh
# Package:  polars 2.1.0
# Expected: scan_ndjson reads every value, or raises an error for a value that does not fit the schema.
# Seen:     the schema comes from the first 100 rows. A field that first occurs later is missing from
#           the result, and a list of strings after 100 rows of empty lists is read as [null]. There is
#           no error and no warning.
# Remedy:   pass infer_schema_length=None, or the schema.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check polars==2.1.0
cat > "$folder/check.py" <<'PYTHON'
import json
import sys

import polars as pl

file = sys.argv[1] + "/rows.jsonl"
with open(file, "w", encoding="utf-8") as lines:
    for number in range(150):
        lines.write(json.dumps({"text": f"text {number}", "labels": []}) + "\n")
    lines.write(json.dumps({"text": "last", "labels": ["joy"], "source": "survey"}) + "\n")
for length in (100, None):
    rows = pl.scan_ndjson(file, infer_schema_length=length).collect()
    last = rows.row(-1, named=True)
    print(f"infer_schema_length={length}: the last row is {last}")
    if length == 100:
        assert "source" not in last, "this has changed"
        assert list(last["labels"]) == [None], "this has changed"
    else:
        assert last == {"text": "last", "labels": ["joy"], "source": "survey"}, "this has changed"
default = pl.scan_ndjson(file).collect().row(-1, named=True)
print("by default the last row is", default)
assert "source" not in default, "this has changed"
PYTHON
"$folder/venv/bin/python" "$folder/check.py" "$folder"

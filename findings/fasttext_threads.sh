#!/bin/sh
# Package:  fasttext-numpy2 0.10.4 (fastText for numpy 2), numpy 2.4.6
# Expected: the number of threads decides how long training takes, and not which weights are
#           initialised.
# Seen:     each thread initialises one tenth of the embedding matrix. With 2 threads, 80 % of the
#           rows are zero before training, with 1 thread 90 %, with 10 threads none. Rows that no training
#           text uses keep their initial value, so they are still zero after training.
# Effect:   small training sets lose accuracy with fewer than 10 threads.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check fasttext-numpy2==0.10.4 numpy==2.4.6
cat > "$folder/check.py" <<'PYTHON'
import sys

import fasttext
import numpy as np

file = sys.argv[1] + "/train.txt"
with open(file, "w", encoding="utf-8") as lines:
    for number in range(200):
        lines.write(f"__label__a good film {number}\n__label__b bad film {number}\n")
zero_share = {}
for threads in (1, 2, 5, 10, 16):
    model = fasttext.train_supervised(
        file, dim=10, epoch=1, wordNgrams=2, bucket=100_000, thread=threads, seed=0, verbose=0
    )
    norms = np.linalg.norm(model.get_input_matrix(), axis=1)
    zero_share[threads] = float((norms == 0).mean())
    print(f"{threads:2} threads: {zero_share[threads]:.1%} of the rows are zero")
expected = {1: 0.9, 2: 0.8, 5: 0.5, 10: 0.0, 16: 0.0}
assert all(abs(zero_share[n] - share) < 0.02 for n, share in expected.items()), "this has changed"
PYTHON
"$folder/venv/bin/python" "$folder/check.py" "$folder"

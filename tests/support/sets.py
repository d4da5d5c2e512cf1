"""A fixture that writes a data set which the package `datasets` reads from a folder."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.texts import reviews

NAMES = ["bad", "good"]
Make = Callable[..., Path]


@pytest.fixture
def make_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Return a function that writes splits of some reviews each, and returns the name of the set.

    A negative number of rows hides the labels of a split.
    """
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets  # reads both variables when it is loaded

    datasets.disable_progress_bars()

    def make(text: str = "text", label: str = "label", **splits: int) -> Path:
        folder = tmp_path / "reviews"
        kinds = {text: datasets.Value("string"), label: datasets.ClassLabel(names=NAMES)}
        for seed, (split, rows) in enumerate(splits.items()):
            made = reviews(abs(rows), seed)
            numbers = [-1 if rows < 0 else int(kind == "positive") for _, kind in made]
            columns = {text: [words for words, _ in made], label: numbers}
            whole = datasets.Dataset.from_dict(columns, features=datasets.Features(kinds))
            whole.to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")
        return Path(f"hf:{folder}")

    return make

"""Sets that `datasets` reads from a folder; a plugin, so that its fixture is everywhere."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.texts import reviews

NAMES = ["bad", "good"]
Make = Callable[..., Path]


@pytest.fixture
def make_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes a set of some splits, each with so many reviews, and gives its name."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets  # it reads them then

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

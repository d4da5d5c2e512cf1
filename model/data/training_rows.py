"""Read the rows of a training: every file it names, without rows that dev or test also have."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from heed.model.data.hub import Part, display_name, find_sibling_split, with_default_split
from heed.model.data.labelled import (
    LabelledTexts,
    concatenate,
    count_shared_texts,
    label_ids,
    read_labelled,
    read_texts,
    remove_shared_texts,
    stratified_split,
)
from heed.model.errors import DataError
from heed.model.paths import as_utf8

MAX_LISTED_LABELS = 10


@dataclass(frozen=True, kw_only=True)
class DataFiles:
    """The files of a training and the columns to read. A file may be a public data set."""

    train: tuple[Path, ...]
    """Files of labelled texts, read as one."""
    dev: tuple[Path, ...] = ()
    """Files of dev rows, read as one. Empty: some training rows are held out."""
    test: Path | None = None
    """File of test rows."""
    unlabelled: Path | None = None
    """File of texts for the teacher to label."""
    out_of_scope: Path | None = None
    """File of texts that no label fits."""
    text_column: str = "text"
    label_column: str = "label"

    @property
    def title(self) -> str:
        """The names of the training files, as sentences and the model card name them."""
        return _titles(self.train)


@dataclass(frozen=True, kw_only=True)
class TrainingRows:
    """The rows of a training, by their use."""

    train: LabelledTexts
    dev: LabelledTexts
    test: LabelledTexts | None = None
    unlabelled: LabelledTexts | None = None
    out_of_scope: LabelledTexts | None = None
    notes: tuple[str, ...] = field(default=())
    """Sentences about rows that were left out, for the log and the model card."""

    @property
    def labels(self) -> list[str]:
        """The labels, sorted. This is the order of the network's outputs."""
        return sorted(set(self.train.labels))


def read_training_rows(files: DataFiles, seed: int) -> TrainingRows:
    """Read the rows of a training.

    Rows of the training files whose text is also in dev or test are left out. If dev or test is not
    named and the training data is one public data set, its own splits are used. Without dev rows,
    a share of the training rows is held out, see `dev_fraction`.

    Args:
        files: what to read.
        seed: of the random choice of held-out rows.

    Raises:
        DataError: a file cannot be read, or a row is not valid.
    """
    whole = _read(files.train, files)
    labels = sorted(set(whole.labels))
    if len(labels) < 2:
        raise DataError(
            f"{whole.path}: every row has the label {labels[0]!r}; a classifier needs two labels "
            "or more"
        )
    dev = _read_held_out("dev", files.dev, files, labels)
    test = _read_held_out("test", (files.test,) if files.test else (), files, labels)
    notes: list[str] = []
    train = whole
    for held_out in filter(None, (dev, test)):
        train = _without(train, held_out, whole, notes)
    if dev is None:
        train, dev = stratified_split(train, dev_fraction(len(train.texts)), seed)
        if missing := sorted(set(labels) - set(dev.labels)):
            notes.append(_describe_missing(missing))
    elif test:
        dev = _without(dev, test, dev, notes)
    return TrainingRows(
        train=train,
        dev=dev,
        test=test,
        unlabelled=_read_unlabelled(files, (dev, test)),
        out_of_scope=read_texts(files.out_of_scope, files.text_column)
        if files.out_of_scope
        else None,
        notes=tuple(notes),
    )


def dev_fraction(rows: int) -> float:
    """Return the share of rows to hold out for dev.

    A tenth, or more to reach 200 rows but at most a fifth. Never more than 10,000 rows.
    """
    return min(max(0.1, min(0.2, 200 / rows)), 10_000 / rows)


def _read(paths: Iterable[Path], files: DataFiles) -> LabelledTexts:
    return concatenate(
        [read_labelled(path, files.text_column, files.label_column) for path in paths]
    )


def _read_held_out(
    part: Part, named: tuple[Path, ...], files: DataFiles, labels: list[str]
) -> LabelledTexts | None:
    """Read the named files, or the split of the one public data set that training reads."""
    paths = [with_default_split(path, part) for path in named]
    if not paths and len(files.train) == 1:
        sibling = find_sibling_split(files.train[0], part, files.label_column)
        paths = [sibling] if sibling else []
    if not paths:
        return None
    rows = _read(paths, files)
    label_ids(rows, labels)  # raises if a label is unknown
    return rows


def _read_unlabelled(
    files: DataFiles, held_out: Iterable[LabelledTexts | None]
) -> LabelledTexts | None:
    """Read the unlabelled texts without those that are held out."""
    if files.unlabelled is None:
        return None
    rows = read_texts(files.unlabelled, files.text_column)
    excluded = {text for part in filter(None, held_out) for text in part.texts}
    return rows.take(p for p, text in enumerate(rows.texts) if text not in excluded)


def _without(
    rows: LabelledTexts, held_out: LabelledTexts, whole: LabelledTexts, notes: list[str]
) -> LabelledTexts:
    """Return `rows` without the held-out texts, and add a note about texts that both have.

    A file that is named for training and for dev or test is kept: the user asks for a score on
    training rows.
    """
    sources = set(whole.sources)
    held_out = held_out.take(
        p for p in range(len(held_out.texts)) if held_out.source(p) not in sources
    )
    if not (shared := count_shared_texts(held_out, whole)):
        return rows
    there, here = _titles(held_out.sources), _titles(whole.sources)
    notes.append(
        f"Texts of {there} that are also in {here}: {shared:,} of {len(held_out.texts):,}."
    )
    remaining = remove_shared_texts(rows, held_out)
    if dropped := len(rows.texts) - len(remaining.texts):
        notes.append(f"Rows of {here} left out because their text is in {there}: {dropped:,}.")
    if kept := count_shared_texts(remaining, held_out):
        notes.append(
            f"Rows of {here} kept although their text is in {there}, because their label would "
            f"have no other row: {kept:,}."
        )
    return remaining


def _describe_missing(labels: list[str]) -> str:
    names = ", ".join(labels[:MAX_LISTED_LABELS])
    more = ", …" if len(labels) > MAX_LISTED_LABELS else ""
    return (
        "Labels without a dev row, because they have one distinct text, or only texts that also "
        f"have another label: {names}{more}."
    )


def _titles(paths: Iterable[Path]) -> str:
    return as_utf8(" and ".join(map(display_name, paths)))

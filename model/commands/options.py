"""What `heed train` is asked for, and the rows that it reads for it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

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
from heed.model.inference.bundle import Name, Version
from heed.model.paths import as_utf8
from heed.model.training.config import dev_fraction


@dataclass(frozen=True)
class TrainOptions:
    """What `heed train` is asked for."""

    data: tuple[Path, ...]
    """Files of labelled text, or public sets by name, read one after another."""
    out: Path
    dev: tuple[Path, ...] = ()
    """Files read one after another; none: some rows are set aside."""
    test: Path | None = None
    text_column: str = "text"
    label_column: str = "label"
    name: str | None = None
    """None: the name of the folder `out`."""
    version: str | None = None
    """None: 1.0.0."""
    data_name: str | None = None
    """None: the names of the files `data`."""
    terms: str | None = None
    """Under which the data may be used, for the model card."""
    checkpoint: Path | None = None
    resume: bool = False
    logdir: Path | None = None
    force: bool = False
    init_embeddings: str | None = None
    """A sentence encoder to start the embedding table from; None: what is known of English, if the
    texts are; "none": from random vectors."""
    teacher: str | None = None
    """A sentence encoder to learn from; None: from the labels alone."""
    unlabelled: Path | None = None
    """More text for the teacher to label."""
    target_precision: float | None = None
    """Share of the labels given that ought to be right; None: no threshold for it."""
    out_of_scope: Path | None = None
    """Texts that no label fits, for choosing a threshold."""
    tune: float | None = None
    """Minutes to search for a better plan; None: the plan that follows from the data."""
    command: str = "heed train"
    """As it was typed, for the model card."""
    chosen: dict[str, Any] = field(default_factory=dict)
    """Fields of `TrainConfig` that the person named."""

    def __post_init__(self) -> None:
        """Refuse what does not fit together, and what no bundle could hold."""
        _ = self.bundle_name
        try:
            TypeAdapter(Version | None).validate_python(self.version)
        except ValidationError as error:
            raise DataError(
                f"--version {self.version!r}: cannot be a bundle's; give 1 to 64 characters"
            ) from error
        if self.resume and not self.checkpoint:
            raise DataError("--resume needs --checkpoint DIR, the folder to go on from")
        if self.unlabelled and not self.teacher:
            raise DataError(
                "--unlabelled needs --teacher: without one there is nobody to label that text"
            )

    @property
    def data_files(self) -> str:
        """The names of the files, to speak of them in a sentence."""
        return _titles(self.data)

    @property
    def bundle_name(self) -> str:
        """The name that the bundle will have."""
        name = self.name or self.out.resolve().name
        try:
            return TypeAdapter(Name).validate_python(name)
        except ValidationError as error:
            raise DataError(
                f"{name!r} cannot be a bundle's name; give one with --name: letters, digits, "
                "'.', '_' and '-', at most 64"
            ) from error


@dataclass(frozen=True)
class TrainingRows:
    """The rows that training uses."""

    train: LabelledTexts
    dev: LabelledTexts
    test: LabelledTexts | None
    unlabelled: LabelledTexts | None
    out_of_scope: LabelledTexts | None
    notes: list[str]
    """For the person at the terminal, and for the model card."""


def read_rows(order: TrainOptions) -> TrainingRows:
    """Read every file of an order; a public set alone brings its own dev and test rows.

    Raises:
        DataError: one cannot be read, or a row of it cannot be used.
    """

    def read(path: Path) -> LabelledTexts:
        return read_labelled(path, order.text_column, order.label_column)

    whole = concatenate([read(path) for path in order.data])
    labels = sorted(set(whole.labels))
    if len(labels) < 2:
        raise DataError(
            f"{whole.path}: every row has the label {labels[0]!r}; a classifier needs two or more"
        )

    def held_out(part: Part, named: tuple[Path, ...]) -> LabelledTexts | None:
        paths = [with_default_split(path, part) for path in named]
        if not paths and len(order.data) == 1:
            paths = list(
                filter(None, [find_sibling_split(order.data[0], part, order.label_column)])
            )
        found = concatenate([read(path) for path in paths]) if paths else None
        if found:
            label_ids(found, labels)  # refuses one that is unknown
        return found

    notes: list[str] = []
    test = held_out("test", (order.test,) if order.test else ())
    dev = held_out("dev", order.dev)
    rest = whole
    for part in filter(None, (dev, test)):
        rest = _apart(rest, part, whole, notes)
    if dev is None:
        rest, dev = stratified_split(
            rest, dev_fraction(len(rest.texts)), order.chosen.get("seed") or 0
        )
        if missing := sorted(set(labels) - set(dev.labels)):
            named = ", ".join(missing[:10]) + (", …" if len(missing) > 10 else "")
            notes.append(
                "Labels of which no row was set aside for dev, because all have one text or stand "
                f"with other labels, too: {named}."
            )
    elif test:
        dev = _apart(dev, test, dev, notes)
    unlabelled, out_of_scope = (
        read_texts(path, order.text_column) if path else None
        for path in (order.unlabelled, order.out_of_scope)
    )
    if unlabelled:
        known = {text for part in filter(None, (dev, test)) for text in part.texts}
        unlabelled = unlabelled.take(
            place for place, text in enumerate(unlabelled.texts) if text not in known
        )
    return TrainingRows(rest, dev, test, unlabelled, out_of_scope, notes)


def _apart(
    rows: LabelledTexts, held_out: LabelledTexts, whole: LabelledTexts, notes: list[str]
) -> LabelledTexts:
    """Those of `rows` whose text is not held out, and notes of what `whole` has of it.

    Who names a file for both wants to measure on what is learnt.
    """
    known = {*whole.sources}
    apart = held_out.take(p for p in range(len(held_out.texts)) if held_out.source(p) not in known)
    if not (both := count_shared_texts(apart, whole)):
        return rows
    theirs, ours = _titles(apart.sources), _titles(whole.sources)
    notes.append(f"Texts of {theirs} that stand in {ours}, too: {both:,} of {len(apart.texts):,}.")
    rest = remove_shared_texts(rows, apart)
    if dropped := len(rows.texts) - len(rest.texts):
        notes.append(
            f"Rows of {ours} left out, because their text stands in {theirs}: {dropped:,}."
        )
    if kept := count_shared_texts(rest, apart):
        notes.append(
            f"Rows of {ours} kept though their text stands in {theirs}, because their label would "
            f"have none left: {kept:,}."
        )
    return rest


def _titles(paths: Iterable[Path]) -> str:
    return as_utf8(" and ".join(map(display_name, paths)))

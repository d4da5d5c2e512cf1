"""What may change when a training is resumed."""

from dataclasses import replace
from pathlib import Path

import pytest

from heed.model.commands.describe import check_same_encoders, describe_training, resume_metadata
from heed.model.commands.options import TrainOptions
from heed.model.data.labelled import LabelledTexts
from heed.model.data.training_rows import DataFiles, TrainingRows
from heed.model.errors import DataError
from heed.model.training.config import derive_config
from heed.model.training.metadata import TrainingMetadata
from heed.model.training.training_set import TrainingTexts
from tests.support.texts import reviews

FOLDER = Path("checkpoint")
OPTIONS = TrainOptions(
    files=DataFiles(train=(Path("a.csv"),)), out=Path("out"), terms="CC0", target_precision=0.9
)


def labelled(rows: list[tuple[str, str]]) -> LabelledTexts:
    texts, labels = zip(*rows, strict=True)
    return LabelledTexts(Path("a.csv"), list(texts), list(labels), range(2, len(texts) + 2))


ROWS = TrainingRows(train=labelled(reviews(20, 1)), dev=labelled(reviews(6, 2)))


def describe(
    options: TrainOptions, rows: TrainingRows = ROWS, augmented: tuple[str, ...] = ()
) -> TrainingMetadata:
    config = derive_config([9] * 20, 2, overrides={"vocabulary": 300, **options.overrides})
    texts = TrainingTexts(rows.train, None, augmented)
    return describe_training(options, rows, texts, config, config.network(300, 2), None)


def test_a_training_is_described_by_its_data_and_options() -> None:
    metadata = describe(replace(OPTIONS, teacher="some/encoder"), augmented=("x", "y"))
    assert (metadata.name, metadata.version) == ("out", "1.0.0")
    assert metadata.labels == ("negative", "positive")
    report = metadata.report()
    assert report["data"] == "a.csv"
    assert report["rows"] == {"train": 20, "dev": 6, "test": 0}
    assert report["teacher"]["augmented"] == 2
    assert report["abstaining"] == {"target_precision": 0.9, "out_of_scope": 0}


def test_names_terms_and_threshold_may_change_on_resume() -> None:
    saved = describe(OPTIONS)
    options = replace(OPTIONS, terms=None, version="2.0.0", name="other", target_precision=None)
    resumed = resume_metadata(saved, describe(options), options, FOLDER)
    assert (resumed.name, resumed.version, resumed.threshold) == ("other", "2.0.0", None)
    assert resumed.data.terms == "CC0", "it is kept if it is not given again"
    plain = replace(OPTIONS, terms=None)
    again = resume_metadata(resumed, describe(plain), plain, FOLDER)
    assert (again.name, again.version, again.data.terms) == ("other", "2.0.0", "CC0")


def test_other_rows_are_an_error_on_resume() -> None:
    other = describe(OPTIONS, replace(ROWS, dev=labelled(reviews(6, 3))))
    with pytest.raises(DataError, match="was started with other rows"):
        resume_metadata(describe(OPTIONS), other, OPTIONS, FOLDER)
    augmented = describe(OPTIONS, augmented=("one more",))
    with pytest.raises(DataError, match="was started with other rows"):
        resume_metadata(describe(OPTIONS), augmented, OPTIONS, FOLDER)


def test_other_hyperparameters_are_an_error_on_resume() -> None:
    options = replace(OPTIONS, overrides={"dropout": 0.5})
    with pytest.raises(DataError, match=r"was started with --dropout 0\.2, not 0\.5"):
        resume_metadata(describe(OPTIONS), describe(options), options, FOLDER)


def test_other_encoders_are_an_error_on_resume() -> None:
    saved = describe(replace(OPTIONS, teacher="a"))
    check_same_encoders(saved, replace(OPTIONS, teacher="a"), FOLDER)
    with pytest.raises(DataError, match="was started with --teacher a; use the same"):
        check_same_encoders(saved, OPTIONS, FOLDER)
    with pytest.raises(DataError, match="was started without --init-embeddings"):
        check_same_encoders(saved, replace(OPTIONS, teacher="a", init_embeddings="b"), FOLDER)

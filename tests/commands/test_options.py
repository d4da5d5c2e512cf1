"""Options of `heed train` that cannot work together."""

from pathlib import Path
from typing import Any

import pytest

from heed.model.commands.options import TrainOptions
from heed.model.data.training_rows import DataFiles
from heed.model.errors import DataError

FILES = DataFiles(train=(Path("train.csv"),))
GIVEN: dict[str, Any] = {"files": FILES, "out": Path("out")}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"version": ""}, r"--version '' is not valid; give 1 to 64 characters"),
        ({"version": "1" * 65}, "--version .* 1 to 64 characters"),
        ({"out": Path("no name")}, "'no name' cannot be a bundle's name; give one with --name"),
        ({"name": "a b"}, "'a b' cannot be a bundle's name"),
        ({"resume": True}, "--resume needs --checkpoint"),
        (
            {"files": DataFiles(train=FILES.train, unlabelled=Path("more.csv"))},
            "--unlabelled needs --teacher",
        ),
    ],
)
def test_options_that_do_not_fit_are_an_error(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        TrainOptions(**GIVEN | options)


def test_the_folder_names_the_bundle_unless_a_name_is_given() -> None:
    assert TrainOptions(files=FILES, out=Path("a/reviews")).bundle_name == "reviews"
    assert TrainOptions(files=FILES, out=Path("a/reviews"), name="other").bundle_name == "other"

"""PyTorch and ONNX give equal numbers, or the export fails."""

import copy
from pathlib import Path

import pytest
import torch

from heed.model.data.labelled import read_labelled
from heed.model.errors import InferenceError
from heed.model.evaluation.gradients import load_network
from heed.model.export.parity import check_parity
from heed.model.export.served_network import ServedNetwork
from heed.model.inference.bundle import Bundle
from heed.model.inference.classifier import OnnxClassifier


@pytest.fixture(scope="module")
def classifier(trained: Path) -> OnnxClassifier:
    return OnnxClassifier(Bundle.load(trained))


@pytest.fixture(scope="module")
def served(trained: Path, checkpoint: Path) -> ServedNetwork:
    """The network of `trained` in PyTorch."""
    return load_network(checkpoint, Bundle.load(trained))


@pytest.fixture(scope="module")
def texts(classifier: OnnxClassifier, test_csv: Path) -> list[list[int]]:
    rows = read_labelled(test_csv).texts
    return [classifier.encode(text).ids for text in (*rows, "x", "film " * 500, " ".join(rows))]


def test_the_exported_network_is_equal(
    served: ServedNetwork, classifier: OnnxClassifier, texts: list[list[int]]
) -> None:
    assert served.ngrams is not None
    assert check_parity(served, classifier, texts) < 1e-5


def test_a_network_that_differs_is_an_error(
    served: ServedNetwork, classifier: OnnxClassifier, texts: list[list[int]]
) -> None:
    other = copy.deepcopy(served)
    with torch.no_grad():
        other.head.bias.add_(1e-3)
    with pytest.raises(InferenceError, match="nothing was written"):
        check_parity(other, classifier, texts)

"""PyTorch = ONNX, what the contract says of its numbers, and `heed export`."""

import copy
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from heed.model.commands.train import export_checkpoint
from heed.model.data.labelled import read_labelled
from heed.model.errors import DataError, InferenceError
from heed.model.evaluation.faithfulness import ExplainedText
from heed.model.evaluation.gradients import integrate, load_network
from heed.model.export.served_network import ServedNetwork, check_parity
from heed.model.inference.bundle import Bundle
from heed.model.inference.classifier import OnnxClassifier
from heed.model.nn.network import Network, NetworkConfig
from heed.model.training.checkpoint import NGRAMS, Checkpoint
from tests.support.command import ROOT, heed


@pytest.fixture(scope="module")
def classifier(trained: Path) -> OnnxClassifier:
    return OnnxClassifier(Bundle.load(trained))


@pytest.fixture(scope="module")
def network(trained: Path, checkpoint: Path) -> Network:
    """What `trained` was exported from."""
    assert trained.exists()
    network = Network(NetworkConfig(**Checkpoint(checkpoint).job()["network"]))
    network.load_state_dict(Checkpoint(checkpoint).best())
    return network.eval()


@pytest.fixture(scope="module")
def shipped(trained: Path, checkpoint: Path) -> ServedNetwork:
    """What `trained` has, in PyTorch."""
    return load_network(checkpoint, Bundle.load(trained))


@pytest.fixture(scope="module")
def texts(test_csv: Path) -> list[str]:
    rows = read_labelled(test_csv).texts
    return [*rows, "x", "film " * 500, "😀", " ".join(rows)]


def test_pytorch_is_onnx(
    shipped: ServedNetwork, classifier: OnnxClassifier, texts: list[str]
) -> None:
    assert shipped.ngrams is not None
    assert check_parity(shipped, classifier, texts) < 1e-5


def test_a_network_that_differs_is_refused(
    shipped: ServedNetwork, classifier: OnnxClassifier, texts: list[str]
) -> None:
    other = copy.deepcopy(shipped)
    with torch.no_grad():
        other.head.bias.add_(1e-3)
    with pytest.raises(InferenceError, match="nothing was written"):
        check_parity(other, classifier, texts)


@torch.no_grad()
def test_eight_bits_change_little(network: Network) -> None:
    ids = torch.randint(1, network.config.vocabulary, (64, 32))
    shipped = ServedNetwork(network)
    assert shipped.table.dtype == torch.int8
    full = network(ids).logits.softmax(dim=1)
    assert (shipped(ids).logits.softmax(dim=1) - full).abs().max() < 0.03


def test_contributions_speak_for_a_label_alone(
    classifier: OnnxClassifier, texts: list[str]
) -> None:
    """What would raise every label's score alike is in none of them."""
    for prediction in classifier.predict(texts, "contributions"):
        assert prediction.contributions is not None
        np.testing.assert_allclose(prediction.contributions.sum(axis=1), 0, atol=1e-5)
    assert sum(classifier.config.bias) == pytest.approx(0, abs=1e-6)


def test_numbers_of_every_text(classifier: OnnxClassifier, texts: list[str]) -> None:
    """Contributions sum to logits, attention to 1; alone, in a batch or padded: the same."""
    bias = np.array(classifier.config.bias)
    together = classifier.run([classifier.encode(text) for text in texts], "contributions")
    for text, found in zip(texts, together, strict=True):
        assert found.attention is not None
        assert found.contributions is not None
        assert abs(found.attention.sum() - 1) < 1e-4
        assert (found.attention > 0).all()
        assert np.abs(bias + found.contributions.sum(axis=0) - found.logits).max() < 1e-4
        (alone,) = classifier.predict([text], "contributions")
        for one, other in (
            (alone.logits, found.logits),
            (alone.attention, found.attention),
            (alone.contributions, found.contributions),
        ):
            assert one is not None
            assert other is not None
            assert np.abs(one - other).max() < 1e-5
        (less,) = classifier.predict([text], "none")
        assert np.abs(less.logits - found.logits).max() < 1e-5


def test_nothing_of_the_machine_is_in_the_files(trained: Path) -> None:
    model = onnx.load_from_string((trained / "model.onnx").read_bytes())
    nodes = [node for node in model.graph.node if node.metadata_props or node.doc_string]
    assert not nodes
    assert not model.metadata_props
    for word in (str(ROOT), sys.prefix, "site-packages", ".py"):
        assert word.encode() not in (trained / "model.onnx").read_bytes()


def test_gradients_of_both_halves_add_up(shipped: ServedNetwork) -> None:
    """Integrated gradients sum to the logit less that of no meaning; the bag is linear."""
    subjects = [ExplainedText((3, 9, 4, 7, 5), 0, 0.5), ExplainedText((8, 2), 1, 0.5)]
    for subject, found in zip(subjects, integrate(shipped, subjects, steps=300), strict=True):
        ids = torch.tensor([subject.ids])
        nothing = torch.zeros_like(shipped.embed(ids))
        assert shipped.ngrams is not None
        said = shipped.ngrams.say(ids)[0, :, subject.label].sum()
        risen = (shipped(ids).logits - shipped(ids, nothing).logits)[0, subject.label]
        assert said.abs() > 1e-3
        assert found.sum() == pytest.approx(float(risen + said), abs=2e-3)


def test_a_checkpoint_without_the_linear_half(
    trained: Path, checkpoint: Path, tmp_path: Path
) -> None:
    """It is exported as it is, and no bundle of both halves passes for its own."""
    folder = shutil.copytree(checkpoint, tmp_path / "checkpoint")
    (folder / NGRAMS).unlink()
    bundle = export_checkpoint(folder, tmp_path / "half", force=False)
    assert bundle.config.training["mixture"] == {"network": [1.0], "ngrams": [0.0], "bias": 1.0}
    assert load_network(folder, Bundle.load(tmp_path / "half")).ngrams is None
    whole = Bundle.load(trained)
    older = whole.config.model_copy(
        update={"training": whole.config.training | {"mixture": [0.5, 0.5]}}
    )
    for other in (whole, replace(whole, config=older)):
        with pytest.raises(DataError, match="its weights are not those of"):
            load_network(folder, other)


def test_export_of_a_checkpoint(trained: Path, checkpoint: Path, tmp_path: Path) -> None:
    """Another process, and the same bytes."""
    heed("export", checkpoint, "--out", tmp_path / "again")
    first, again = Bundle.load(trained), Bundle.load(tmp_path / "again")
    assert again.model == first.model
    assert again.config.temperature == first.config.temperature
    assert again.config.scores["dev"] == first.config.scores["dev"]
    with pytest.raises(DataError, match="no checkpoint there"):
        export_checkpoint(tmp_path / "none", tmp_path / "x", force=False)
    with pytest.raises(DataError, match="--force"):
        export_checkpoint(checkpoint, tmp_path / "again", force=False)

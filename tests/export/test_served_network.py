"""The served network: quantised, centred and combined with the n-gram model."""

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
from heed.model.errors import DataError
from heed.model.evaluation.faithfulness import ExplainedText
from heed.model.evaluation.gradients import integrate, load_network
from heed.model.export.served_network import ServedNetwork
from heed.model.inference.bundle import Bundle
from heed.model.inference.classifier import OnnxClassifier
from heed.model.training.checkpoint import NGRAMS, Checkpoint
from tests.support.command import ROOT


@pytest.fixture(scope="module")
def classifier(trained: Path) -> OnnxClassifier:
    return OnnxClassifier(Bundle.load(trained))


@pytest.fixture(scope="module")
def texts(test_csv: Path) -> list[str]:
    rows = read_labelled(test_csv).texts
    return [*rows, "x", "film " * 500, "😀", " ".join(rows)]


@torch.no_grad()
def test_quantisation_changes_probabilities_little(trained: Path, checkpoint: Path) -> None:
    assert trained.exists()
    network = Checkpoint(checkpoint).network()
    ids = torch.randint(1, network.config.vocabulary, (64, 32))
    served = ServedNetwork(network)
    assert served.table.dtype == torch.int8
    exact = network(ids).logits.softmax(dim=1)
    assert (served(ids).logits.softmax(dim=1) - exact).abs().max() < 0.03


def test_contributions_are_centred_over_the_labels(
    classifier: OnnxClassifier, texts: list[str]
) -> None:
    for prediction in classifier.predict(texts, "contributions"):
        assert prediction.contributions is not None
        np.testing.assert_allclose(prediction.contributions.sum(axis=1), 0, atol=1e-5)
    assert sum(classifier.config.bias) == pytest.approx(0, abs=1e-6)


def test_every_text_has_the_same_output_alone_and_in_a_batch(
    classifier: OnnxClassifier, texts: list[str]
) -> None:
    bias = np.array(classifier.config.bias)
    together = classifier.run([classifier.encode(text) for text in texts], "contributions")
    for text, prediction in zip(texts, together, strict=True):
        assert prediction.attention is not None
        assert prediction.contributions is not None
        assert abs(prediction.attention.sum() - 1) < 1e-4
        assert (prediction.attention > 0).all()
        total = bias + prediction.contributions.sum(axis=0)
        assert np.abs(total - prediction.logits).max() < 1e-4
        (alone,) = classifier.predict([text], "contributions")
        for one, other in (
            (alone.logits, prediction.logits),
            (alone.attention, prediction.attention),
            (alone.contributions, prediction.contributions),
        ):
            assert one is not None
            assert other is not None
            assert np.abs(one - other).max() < 1e-5
        logits = classifier.logits([classifier.encode(text).ids])
        assert np.abs(logits - prediction.logits).max() < 1e-5


def test_the_files_contain_no_paths_of_the_machine(trained: Path) -> None:
    content = (trained / "model.onnx").read_bytes()
    model = onnx.load_from_string(content)
    assert not [node for node in model.graph.node if node.metadata_props or node.doc_string]
    assert not model.metadata_props
    for word in (str(ROOT), sys.prefix, "site-packages", ".py"):
        assert word.encode() not in content


def test_integrated_gradients_add_up_to_the_logit(trained: Path, checkpoint: Path) -> None:
    """They sum to the change of the logit from zero embeddings; the n-gram model is linear."""
    served = load_network(checkpoint, Bundle.load(trained))
    subjects = [ExplainedText((3, 9, 4, 7, 5), 0, 0.5), ExplainedText((8, 2), 1, 0.5)]
    for subject, scores in zip(subjects, integrate(served, subjects, steps=300), strict=True):
        ids = torch.tensor([subject.ids])
        zero = torch.zeros_like(served.embed(ids))
        assert served.ngrams is not None
        of_ngrams = served.ngrams.contributions(ids)[0, :, subject.label].sum()
        of_network = (served(ids).logits - served(ids, zero).logits)[0, subject.label]
        assert of_ngrams.abs() > 1e-3
        assert scores.sum() == pytest.approx(float(of_network + of_ngrams), abs=2e-3)


def test_a_checkpoint_without_an_ngram_model_is_exported_and_another_is_an_error(
    trained: Path, checkpoint: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(checkpoint, tmp_path / "checkpoint")
    (folder / NGRAMS).unlink()
    bundle = export_checkpoint(folder, tmp_path / "single", force=False)
    assert bundle.config.training["mixture"] == {"network": [1.0], "ngrams": [0.0], "bias": 1.0}
    assert load_network(folder, Bundle.load(tmp_path / "single")).ngrams is None
    whole = Bundle.load(trained)
    older = whole.config.model_copy(
        update={"training": whole.config.training | {"mixture": [0.5, 0.5]}}
    )
    for other in (whole, replace(whole, config=older)):
        with pytest.raises(DataError, match="its weights are not those of"):
            load_network(folder, other)

"""Build a bundle from a trained network: mix, export, check, calibrate and score."""

import platform
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from heed.model.bundles import FORMAT
from heed.model.export.card import render_card
from heed.model.export.onnx_graph import to_onnx
from heed.model.export.parity import check_parity
from heed.model.export.served_network import ServedNetwork
from heed.model.inference import Bundle, BundleConfig, OnnxClassifier, softmax, write_bundle
from heed.model.metrics import (
    NETWORK_ONLY,
    Mixture,
    choose_threshold,
    fit_mixture_weights,
    fit_temperature,
    score_predictions,
)
from heed.model.nn import Network, NgramModel
from heed.model.text import Tokenizer
from heed.model.training import Dataset, ThresholdRequest, TrainingMetadata, predict_logits

PARITY_TEXTS = 256
"""Maximum number of dev texts that PyTorch and ONNX are compared on."""
EXAMPLE_CHARACTERS = 40
"""Preferred length of the example in the model card."""
PACKAGES = ("heed-classifier", "torch", "onnx", "tokenizers", "numpy")
"""Packages whose versions the bundle records."""


@dataclass(frozen=True, kw_only=True)
class HeldOutData:
    """Tokenized rows that nothing was trained on."""

    dev: Dataset
    """For mixture, temperature, threshold and parity check."""
    test: Dataset | None = None
    """For scores."""
    out_of_scope: Dataset | None = None
    """Texts that no label fits, for the threshold."""

    def cut(self, max_tokens: int) -> "HeldOutData":
        """Return the rows with texts cut to at most `max_tokens` tokens."""
        return HeldOutData(
            dev=self.dev.cut(max_tokens),
            test=self.test.cut(max_tokens) if self.test else None,
            out_of_scope=self.out_of_scope.cut(max_tokens) if self.out_of_scope else None,
        )


def build_bundle(
    network: Network,
    ngrams: NgramModel | None,
    tokenizer: Tokenizer,
    metadata: TrainingMetadata,
    held_out: HeldOutData,
    out: Path,
    *,
    example: str,
    force: bool,
) -> Bundle:
    """Write the bundle of a trained network, and return it.

    Args:
        network: with its best weights.
        ngrams: the n-gram model, if there is one.
        tokenizer: of the network.
        metadata: of the training.
        held_out: rows to calibrate and score with.
        out: folder to write to.
        example: a text for the model card, see `choose_example`.
        force: whether to replace an existing folder.

    Raises:
        InferenceError: PyTorch and ONNX differ; nothing was written.
    """
    mixture = fit_mixture(network, ngrams, held_out.dev)
    served = ServedNetwork(network, ngrams, mixture)
    model = to_onnx(served)
    draft = BundleConfig(
        format=FORMAT,
        name=metadata.name,
        version=metadata.version,
        labels=list(metadata.labels),
        max_tokens=network.config.max_tokens,
        bias=served.head.bias.tolist(),
        temperature=1.0,
        min_confidence=None,
        sha256={},
        network=asdict(metadata.network),
        tools=_tool_versions(),
    )
    classifier = OnnxClassifier(Bundle(out, draft, tokenizer, model))
    texts = _spread_by_length(held_out.dev)
    difference = check_parity(served, classifier, texts)
    training = metadata.report() | {
        "mixture": asdict(mixture),
        "parity": {"texts": len(texts), "difference": difference},
    }
    measured = _measure(classifier, held_out, metadata.threshold)
    config = draft.model_copy(update={"training": training} | measured)
    card = render_card(config, example, len(model))
    return write_bundle(out, config.model_dump(), model, tokenizer.to_json(), card, force=force)


def choose_example(texts: list[str]) -> str:
    """Return the text whose length is closest to `EXAMPLE_CHARACTERS`."""
    return min(texts, key=lambda text: abs(len(text) - EXAMPLE_CHARACTERS))


def fit_mixture(network: Network, ngrams: NgramModel | None, dev: Dataset) -> Mixture:
    """Return the weights of network, n-gram model and bias with the lowest dev loss."""
    if ngrams is None:
        return NETWORK_ONLY
    bias = network.head.bias.detach()
    logits = predict_logits(network, dev) - bias
    of_network = [logits]
    if ngrams.tables > 1:
        gate = ngrams.gate(torch.from_numpy(dev.lengths))[:, None]
        of_network = [(1 - gate) * logits, gate * logits]
    of_ngrams = [
        predict_logits(ngrams.scaled(one_table), dev)
        for one_table in np.eye(ngrams.tables).tolist()
    ]
    parts = [*of_network, *of_ngrams, (bias + ngrams.bias).expand_as(logits)]
    weights = fit_mixture_weights([part.numpy() for part in parts], dev.labels)
    return Mixture(weights[: ngrams.tables], weights[ngrams.tables : -1], weights[-1])


def _measure(
    classifier: OnnxClassifier, held_out: HeldOutData, request: ThresholdRequest | None
) -> dict[str, Any]:
    """Return temperature, threshold and scores, as fields of `BundleConfig`."""

    def predict(data: Dataset) -> NDArray[np.float64]:
        return classifier.logits(data.token_ids())

    labels, dev, test = classifier.config.labels, held_out.dev, held_out.test
    logits = predict(dev)
    temperature = fit_temperature(logits, dev.labels)
    probabilities = softmax(logits / temperature)
    scores: dict[str, Any] = {"dev": score_predictions(probabilities, dev.labels, labels).summary()}
    threshold = None
    if request is not None:
        outside = np.empty(0)
        if held_out.out_of_scope:
            outside = softmax(predict(held_out.out_of_scope) / temperature).max(axis=1)
        correct = probabilities.argmax(axis=1) == dev.labels
        choice = choose_threshold(
            probabilities.max(axis=1), correct, outside, request.target_precision
        )
        threshold = choice.min_confidence
        scores["dev"] |= choice.to_dict()
    if test:
        test_probabilities = softmax(predict(test) / temperature)
        scored = score_predictions(test_probabilities, test.labels, labels, threshold)
        scores["test"] = scored.summary()
        if threshold is not None:
            scores["test"] |= {"coverage": scored.coverage, "precision": scored.covered_accuracy}
    return {"temperature": temperature, "min_confidence": threshold, "scores": scores}


def _spread_by_length(data: Dataset) -> list[list[int]]:
    """Return the token ids of texts evenly spread from the shortest to the longest."""
    by_length = np.argsort(data.lengths, kind="stable")
    count = min(len(by_length), PARITY_TEXTS)
    positions = by_length[np.linspace(0, len(by_length) - 1, count).astype(int)]
    return data.take(positions).token_ids()


def _tool_versions() -> dict[str, str]:
    # The distribution of onnxruntime has different names for CPU and GPU.
    versions = {"python": platform.python_version(), "onnxruntime": onnxruntime.__version__}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue  # Heed itself, if it is not installed
    return versions

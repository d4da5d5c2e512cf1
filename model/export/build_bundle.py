"""From a trained network to a bundle that is checked, calibrated and scored."""

import platform
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from heed.model.data.labelled import LabelledTexts, label_ids
from heed.model.export.card import render_card
from heed.model.export.onnx_graph import to_onnx
from heed.model.export.served_network import ServedNetwork, check_parity
from heed.model.inference.bundle import Bundle, BundleConfig, write_bundle
from heed.model.inference.classifier import OnnxClassifier, softmax
from heed.model.metrics.calibration import (
    NETWORK_ONLY,
    Mixture,
    fit_mixture_weights,
    fit_temperature,
)
from heed.model.metrics.classification import score_predictions
from heed.model.metrics.threshold import choose_threshold
from heed.model.nn.network import Network
from heed.model.nn.ngrams import NgramModel
from heed.model.text.tokenizer import Tokenizer
from heed.model.training.dataset import tokenize_texts
from heed.model.training.trainer import predict_logits

PARITY_TEXTS = 256
TOOLS = ("heed-classifier", "torch", "onnx", "tokenizers", "numpy")


@dataclass(frozen=True)
class HeldOutRows:
    """Rows that nothing was learnt from."""

    dev: LabelledTexts
    """To calibrate, check parity and choose a threshold on."""
    test: LabelledTexts | None
    """To score as well."""
    out_of_scope: LabelledTexts | None
    """Texts that no label fits, to choose a threshold on."""


def build_bundle(
    network: Network,
    ngrams: NgramModel | None,
    tokenizer: Tokenizer,
    job: dict[str, Any],
    held_out: HeldOutRows,
    out: Path,
    *,
    force: bool,
) -> Bundle:
    """Mix, export, check parity, calibrate, score what is shipped, write it with its card.

    Args:
        network: with its best weights.
        ngrams: the linear half, if there is one.
        tokenizer: what it was trained with.
        job: as `Checkpoint.begin` takes it.
        held_out: rows to do it with.
        out: where to.
        force: replace what is there.

    Raises:
        InferenceError: PyTorch and ONNX differ; nothing was written.
    """
    mixture = _mixture(network, ngrams, tokenizer, job["labels"], held_out.dev)
    shipped = ServedNetwork(network, ngrams, mixture)
    model = to_onnx(shipped)
    draft = BundleConfig(
        format=1,
        name=job["name"],
        version=job["version"],
        labels=job["labels"],
        max_tokens=network.config.max_tokens,
        bias=shipped.head.bias.tolist(),
        temperature=1.0,
        min_confidence=None,
        sha256={},
        network=job["network"],
        tools=_tools(),
    )
    classifier = OnnxClassifier(Bundle(out, draft, tokenizer, model))
    texts = _spread_by_length(held_out.dev.texts)
    difference = check_parity(shipped, classifier, texts)
    training = job["training"] | {
        "mixture": asdict(mixture),
        "parity": {"texts": len(texts), "difference": difference},
    }
    measured = _measure(classifier, held_out, training.get("abstaining"))
    config = draft.model_copy(update={"training": training} | measured)
    example = min(held_out.dev.texts, key=lambda text: abs(len(text) - 40))
    card = render_card(config, example, len(model))
    return write_bundle(out, config.model_dump(), model, tokenizer.to_json(), card, force=force)


def _mixture(
    network: Network,
    ngrams: NgramModel | None,
    tokenizer: Tokenizer,
    labels: list[str],
    dev: LabelledTexts,
) -> Mixture:
    """How the halves are mixed, as dev likes it best."""
    if ngrams is None:
        return NETWORK_ONLY
    data = tokenize_texts(dev, tokenizer, labels, network.config.max_tokens)
    bias = network.head.bias.detach()
    said = predict_logits(network, data) - bias
    of_network = [said]
    if ngrams.bags > 1:
        gate = ngrams.gate(torch.from_numpy(data.lengths))[:, None]
        of_network = [(1 - gate) * said, gate * said]
    of_ngrams = [predict_logits(ngrams.times(only), data) for only in np.eye(ngrams.bags).tolist()]
    parts = [*of_network, *of_ngrams, (bias + ngrams.bias).expand_as(said)]
    weights = fit_mixture_weights([part.numpy() for part in parts], data.labels)
    return Mixture(weights[: ngrams.bags], weights[ngrams.bags : -1], weights[-1])


def _measure(
    classifier: OnnxClassifier, held_out: HeldOutRows, abstaining: dict[str, Any] | None
) -> dict[str, Any]:
    """Temperature, threshold and scores, as `config.json` has them."""

    def served(labelled: LabelledTexts) -> NDArray[np.float64]:
        found = classifier.predict(labelled.texts, "none")
        return np.stack([one.logits for one in found]).astype(np.float64)

    labels, dev, test = classifier.config.labels, held_out.dev, held_out.test
    of_dev, truth = served(dev), label_ids(dev, labels)
    temperature = fit_temperature(of_dev, truth)
    probabilities = softmax(of_dev / temperature)
    scores: dict[str, Any] = {"dev": score_predictions(probabilities, truth, labels).summary()}
    threshold = None
    if abstaining is not None:
        outside = np.empty(0)
        if held_out.out_of_scope:
            outside = softmax(served(held_out.out_of_scope) / temperature).max(axis=1)
        right = probabilities.argmax(axis=1) == truth
        chosen = choose_threshold(
            probabilities.max(axis=1), right, outside, abstaining["target_precision"]
        )
        threshold = chosen.min_confidence
        scores["dev"] |= chosen.to_dict()
    if test:
        found = softmax(served(test) / temperature)
        of_test = score_predictions(found, label_ids(test, labels), labels, threshold)
        scores["test"] = of_test.summary()
        if threshold is not None:
            scores["test"] |= {"coverage": of_test.coverage, "precision": of_test.covered_accuracy}
    return {"temperature": temperature, "min_confidence": threshold, "scores": scores}


def _spread_by_length(texts: list[str]) -> list[str]:
    """Texts evenly spread from the shortest to the longest."""
    ordered = sorted(texts, key=len)
    chosen = np.linspace(0, len(ordered) - 1, min(len(ordered), PARITY_TEXTS)).astype(int)
    return [ordered[place] for place in chosen]


def _tools() -> dict[str, str]:
    # Its distribution has one name for CPUs and another for GPUs.
    tools = {"python": platform.python_version(), "onnxruntime": onnxruntime.__version__}
    for package in TOOLS:
        try:
            tools[package] = version(package)
        except PackageNotFoundError:
            continue  # a checkout that is not installed
    return tools

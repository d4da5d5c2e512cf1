"""From a trained network to a bundle that is checked, calibrated and scored."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from model.bundle import Bundle, BundleConfig, write_bundle
from model.calibrate import fit_temperature
from model.card import model_card
from model.classifier import Classifier, Prediction, softmax
from model.data import Labelled, label_ids
from model.evaluate import evaluate
from model.export import ShippedNetwork, check_parity, to_onnx
from model.network import Network
from model.tokenizer import Tokenizer

PARITY_TEXTS = 256
TOOLS = ("heed-classifier", "torch", "onnx", "tokenizers", "numpy")


def release(
    network: Network,
    tokenizer: Tokenizer,
    job: dict[str, Any],
    dev: Labelled,
    test: Labelled | None,
    out: Path,
    *,
    force: bool,
) -> Bundle:
    """Export, check parity, calibrate, score what is shipped, write it with its card.

    Args:
        network: with its best weights.
        tokenizer: what it was trained with.
        job: as `Checkpoint.begin` takes it.
        dev: rows to calibrate and check parity on.
        test: rows to score as well.
        out: where to.
        force: replace what is there.

    Raises:
        InferenceError: PyTorch and ONNX differ; nothing was written.
    """
    shipped = ShippedNetwork(network)
    model = to_onnx(shipped)
    draft = BundleConfig(
        format=1,
        name=job["name"],
        version=job["version"],
        labels=job["labels"],
        max_tokens=network.config.max_tokens,
        bias=network.head.bias.tolist(),
        temperature=1.0,
        min_confidence=None,
        sha256={},
        network=job["network"],
        tools=_tools(),
    )
    classifier = Classifier(Bundle(out, draft, tokenizer, model))
    texts = _of_many_lengths(dev.texts)
    difference = check_parity(shipped, classifier, texts)

    found = classifier.predict(dev.texts, "none")
    temperature = fit_temperature(_logits(found), label_ids(dev, draft.labels))
    scores = {}
    for part, labelled in (("dev", dev), ("test", test)):
        if labelled is None:
            continue
        logits = _logits(found if labelled is dev else classifier.predict(labelled.texts, "none"))
        probabilities = softmax(logits.astype(np.float64) / temperature)
        truth = label_ids(labelled, draft.labels)
        scores[part] = evaluate(probabilities, truth, draft.labels).summary()
    training = job["training"] | {"parity": {"texts": len(texts), "difference": difference}}
    config = draft.model_copy(
        update={"temperature": temperature, "scores": scores, "training": training}
    )
    card = model_card(config, min(dev.texts, key=lambda text: abs(len(text) - 40)), len(model))
    return write_bundle(out, config.model_dump(), model, tokenizer.to_json(), card, force=force)


def _logits(predictions: list[Prediction]) -> NDArray[np.float32]:
    return np.stack([prediction.logits for prediction in predictions])


def _of_many_lengths(texts: list[str]) -> list[str]:
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

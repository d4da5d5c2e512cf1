"""The sentence encoder that `heed train --teacher` fine-tuned, run as people would serve it."""

import logging
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from heed.model.distill.encoder import read_encoder
from heed.model.distill.teacher import Teacher
from heed.model.inference.classifier import softmax
from heed.model.text.tokenizer import length_batches, pad
from heed.model.training.checkpoint import TEACHER, Checkpoint

LONGEST = 128
"""Tokens read of a text, its special tokens among them."""
BATCH_TOKENS = 4096
"""Tokens of one run."""

Floats = NDArray[np.float64]


class FineTuned:
    """A fine-tuned encoder as ONNX, on one core."""

    name = "fine-tuned encoder"

    def __init__(self, source: str, checkpoint: Path, classes: int) -> None:
        """Read an encoder and its best weights, and export it.

        Args:
            source: the encoder, see `read_encoder`.
            checkpoint: of a training with `--teacher`.
            classes: number of labels, in the sorted order that `heed train` gives them.

        Raises:
            HeedError: one of them cannot be read.
        """
        encoder = read_encoder(source, "--encoder")
        teacher = Teacher(encoder, classes)
        teacher.load_state_dict(Checkpoint(checkpoint, TEACHER).best())
        teacher.halved = False  # its ONNX is float32, as people serve it
        self._tokenizer = encoder.tokenizer.backend_tokenizer
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(LONGEST)
        model = to_onnx(teacher)
        self.size = len(model)
        self.settings: dict[str, float] = {}
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """Texts to probabilities (n, C)."""
        # The teacher takes the encoder's ids plus 1, so that 0 is padding.
        ids = [[n + 1 for n in self._tokenizer.encode(text).ids] for text in texts]
        found: dict[int, NDArray[np.float32]] = {}
        for group in length_batches([len(row) for row in ids], BATCH_TOKENS):
            (logits,) = self._session.run(["logits"], {"ids": pad([ids[n] for n in group])})
            found.update(zip(group, logits, strict=True))
        return softmax(np.stack([found[n] for n in range(len(texts))]).astype(np.float64))


class _Logits(nn.Module):
    """The teacher with one tensor out, as the exporter wants it."""

    def __init__(self, teacher: Teacher) -> None:
        super().__init__()
        self.teacher = teacher

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, C)."""
        logits: Tensor = self.teacher(ids).logits
        return logits


def to_onnx(teacher: Teacher) -> bytes:
    """Export a teacher: `ids` int64 (B, T), 0 is padding, to `logits` (B, C)."""
    sample = torch.tensor([[5, 6, 7], [8, 9, 0]])
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens", max=LONGEST)}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of what is unused here
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = Path(folder) / "encoder.onnx"
        torch.onnx.export(
            _Logits(teacher).eval(), (sample,), file, dynamo=True, verbose=False,
            external_data=False, input_names=["ids"], output_names=["logits"],
            dynamic_shapes={"ids": axes},
        )  # fmt: skip
        return file.read_bytes()

"""The sentence encoder that `heed train --teacher` fine-tuned, served by onnxruntime."""

import logging
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn

from benchmarks.quality.classifier import Floats, Settings
from heed.model.distill import Teacher, read_encoder
from heed.model.inference import softmax
from heed.model.text import length_batches, pad
from heed.model.training import TEACHER, Checkpoint

MAX_TOKENS = 128
"""Tokens read of a text, special tokens included."""
BATCH_TOKENS = 4096
"""Tokens of one call of the session, padding included."""
SLOW_OPTIMIZERS = ["SkipLayerNormFusion"]
"""The fused kernel is several times slower on a CPU (`findings/onnxruntime_skip_layer_norm.sh`)."""
MODEL, TOKENIZER = "model.onnx", "tokenizer.json"


class FineTunedEncoder:
    """An exported encoder in a folder, run on one core."""

    def __init__(self, folder: Path) -> None:
        """Load what `export` wrote."""
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self.size = (folder / MODEL).stat().st_size
        self.settings: Settings = {}
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = ort.InferenceSession(
            folder / MODEL, options, providers=["CPUExecutionProvider"],
            disabled_optimizers=SLOW_OPTIMIZERS,
        )  # fmt: skip

    def probabilities(self, texts: Sequence[str]) -> Floats:
        # The teacher's ids are the encoder's ids plus 1, because 0 is padding.
        ids = [[token + 1 for token in self._tokenizer.encode(text).ids] for text in texts]
        logits_of: dict[int, NDArray[np.float32]] = {}
        for group in length_batches([len(row) for row in ids], BATCH_TOKENS):
            (logits,) = self._session.run(["logits"], {"ids": pad([ids[n] for n in group])})
            logits_of.update(zip(group, logits, strict=True))
        return softmax(np.stack([logits_of[n] for n in range(len(texts))]).astype(np.float64))


def export(folder: Path, source: str, checkpoint: Path, classes: int) -> None:
    """Write a fine-tuned encoder to a folder as ONNX in float32, with its tokenizer.

    Args:
        folder: where to write; must exist.
        source: the encoder, see `read_encoder`.
        checkpoint: folder of a training with `--teacher`.
        classes: number of labels, in the sorted order that `heed train` gives them.

    Raises:
        HeedError: the encoder or the checkpoint cannot be read.
    """
    encoder = read_encoder(source, "--encoder")
    teacher = Teacher(encoder, classes)
    teacher.load_state_dict(Checkpoint(checkpoint, TEACHER).best())
    teacher.use_bfloat16 = False
    tokenizer = encoder.tokenizer.backend_tokenizer
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.save(str(folder / TOKENIZER))
    (folder / MODEL).write_bytes(_to_onnx(teacher))


class _Logits(nn.Module):
    """The teacher with its logits as the only output."""

    def __init__(self, teacher: Teacher) -> None:
        super().__init__()
        self.teacher = teacher

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, C)."""
        logits: Tensor = self.teacher(ids).logits
        return logits


def _to_onnx(teacher: Teacher) -> bytes:
    """Return a model with input `ids` int64 (B, T), 0 is padding, and output `logits` (B, C)."""
    example = torch.tensor([[5, 6, 7], [8, 9, 0]])
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens", max=MAX_TOKENS)}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of unused initializers
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = Path(folder) / "encoder.onnx"
        torch.onnx.export(
            _Logits(teacher).eval(), (example,), file, dynamo=True, verbose=False,
            external_data=False, input_names=["ids"], output_names=["logits"],
            dynamic_shapes={"ids": axes},
        )  # fmt: skip
        return file.read_bytes()

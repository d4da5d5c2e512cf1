"""The code path of a GPU, run on the CPU, gives the outputs of the CPU's own code path."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from heed.model.inference.bundle import Bundle
from heed.model.inference.fp16 import convert_to_fp16
from heed.model.inference.session import CPU, OUTPUTS, Device, Session, gpu_shape


@pytest.fixture(scope="module")
def session(trained: Path) -> Session:
    return Session(Bundle.load(trained))


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(("rows", "tokens"), [(1, 1), (3, 17), (5, 32)])
def test_padding_to_gpu_shapes_changes_no_output(
    session: Session, rows: int, tokens: int, count: int
) -> None:
    ids = np.random.default_rng(0).integers(2, 60, (rows, tokens))
    ids[0, 1:] = 0
    plain, bound = session.run(ids, OUTPUTS[:count]), session.run_bound(ids, OUTPUTS[:count])
    assert len(bound) == count
    for one, other in zip(plain, bound, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def test_batches_are_padded_to_few_gpu_shapes() -> None:
    assert gpu_shape(1, 1, 512) == (1, 16)
    assert gpu_shape(5, 17, 512) == (8, 32)
    assert gpu_shape(64, 300, 400) == (64, 400)
    shapes = {gpu_shape(r, t, 512) for r in range(1, 1025) for t in range(1, 513) if r * t <= 16384}
    assert len(shapes) < 60


def test_warm_up_runs_every_shape_within_the_budget(session: Session) -> None:
    assert session.warm_up(64) == 3 + 2  # 1, 2 and 4 rows of 16 tokens, 1 and 2 of 32


def test_fp16_outputs_are_close_to_float32(trained: Path, session: Session) -> None:
    """On the CPU, which converts the numbers for each operator."""
    fp16 = ort.InferenceSession(convert_to_fp16(Bundle.load(trained).model))
    ids = np.random.default_rng(0).integers(2, 60, (5, 32))
    ids[0, 1:] = 0
    ids[1, 30:] = 0
    outputs = fp16.run(OUTPUTS, {"input_ids": ids})
    for one, other in zip(session.run(ids, OUTPUTS), outputs, strict=True):
        assert other.dtype == np.float32
        assert 0 < np.abs(one - other).max() < 0.01
    assert all((numbers[ids == 0] == 0).all() for numbers in outputs[1:])


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_the_cpu_computes_in_float32_whatever_precision_is_requested(
    trained: Path, session: Session, device: Device
) -> None:
    """If CUDA is listed but cannot start, the float32 network is loaded."""
    other = Session(Bundle.load(trained), device, precision="float16")
    ids = np.ones((2, 7), dtype=np.int64)
    for one, same in zip(session.run(ids, OUTPUTS), other.run(ids, OUTPUTS), strict=True):
        assert other.provider != CPU or (one == same).all()

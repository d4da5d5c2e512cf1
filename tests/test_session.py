"""What runs a network: the way of a GPU, taken on the CPU, says what the CPU's own says."""

from pathlib import Path

import numpy as np
import pytest

from model.bundle import Bundle
from model.session import OUTPUTS, Session, gpu_shape


@pytest.fixture(scope="module")
def session(trained: Path) -> Session:
    return Session(Bundle.load(trained))


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(("rows", "tokens"), [(1, 1), (3, 17), (5, 32)])
def test_in_the_shape_of_a_gpu_all_is_the_same(
    session: Session, rows: int, tokens: int, count: int
) -> None:
    ids = np.random.default_rng(0).integers(2, 60, (rows, tokens))
    ids[0, 1:] = 0
    plain, bound = session.run(ids, OUTPUTS[:count]), session.run_bound(ids, OUTPUTS[:count])
    assert len(bound) == count
    for one, other in zip(plain, bound, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def test_shapes_are_few() -> None:
    assert gpu_shape(1, 1, 512) == (1, 16)
    assert gpu_shape(5, 17, 512) == (8, 32)
    assert gpu_shape(64, 300, 400) == (64, 400)
    shapes = {gpu_shape(r, t, 512) for r in range(1, 1025) for t in range(1, 513) if r * t <= 16384}
    assert len(shapes) < 60


def test_every_shape_is_warmed(session: Session) -> None:
    assert session.warm_up(64) == 3 + 2  # 1, 2 and 4 rows of 16 tokens, 1 and 2 of 32

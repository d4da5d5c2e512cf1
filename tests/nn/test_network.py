"""Sizes of a network, and the network without self-attention blocks."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from heed.model.inference.bundle import Bundle
from heed.model.nn.network import Network, NetworkConfig
from tests.support.command import heed
from tests.support.server import serve


def test_heads_that_do_not_divide_the_width_are_an_error() -> None:
    config = NetworkConfig(vocabulary=5, classes=2, max_tokens=4)
    with pytest.raises(ValueError, match="width 10 is not a multiple of 4 heads"):
        replace(config, width=10, heads=4)


@pytest.mark.parametrize(("name", "value"), [("width", 0), ("blocks", -1), ("hidden", 0)])
def test_a_size_out_of_range_is_an_error(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} is {value}; it must be"):
        replace(NetworkConfig(vocabulary=5, classes=2, max_tokens=4), **{name: value})


@torch.no_grad()
def test_without_blocks_tokens_affect_each_other_only_through_the_softmax() -> None:
    torch.manual_seed(4)
    config = NetworkConfig(vocabulary=20, classes=3, max_tokens=8, width=16, blocks=0)
    network = Network(config).eval()
    network.pooling.query.weight.normal_(std=0.1)  # 0 initially: equal weights
    output = network(torch.tensor([[5, 9, 2, 7], [5, 9, 11, 7]]))
    others = [0, 1, 3]
    ratio = output.attention[1, others] / output.attention[0, others]
    torch.testing.assert_close(ratio, ratio[0].expand(3))
    assert abs(ratio[0] - 1) > 1e-3
    torch.testing.assert_close(
        output.contributions[1, others], ratio[0] * output.contributions[0, others]
    )


@pytest.mark.slow
def test_a_bundle_without_blocks_is_trained_and_served(
    tmp_path: Path, train_csv: Path, test_csv: Path
) -> None:
    out = tmp_path / "reviews"
    sizes = ("--blocks", 0, "--width", 32, "--epochs", 16)
    heed("train", train_csv, "--test", test_csv, "--out", out, *sizes)
    config = Bundle.load(out).config
    assert config.network["blocks"] == 0
    assert config.scores["test"]["accuracy"] > 0.8
    with serve(out) as server:
        asked = {"text": "A dreadful film; we watched the whole of it.", "explain": "contributions"}
        answer = server.post(asked).json()
    assert answer["label"] == "negative"
    total = answer["bias"] + sum(token["contribution"] for token in answer["tokens"])
    assert answer["logit"] == pytest.approx(total, abs=1e-4)

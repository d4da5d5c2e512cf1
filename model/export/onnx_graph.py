"""The network as an ONNX graph, written out: what a bundle runs is what stands here.

PyTorch's own exporter makes more nodes, and a text takes a sixth more time (docs/speed.md). That
PyTorch and the graph say the same is checked for every bundle, see `check_parity`.
"""

from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.parser import parse_graph
from torch import Tensor, nn

from heed.model.export import onnx_templates as parts
from heed.model.export.served_network import ServedNetwork
from heed.model.inference.session import INPUT, OUTPUTS
from heed.model.nn.layers import MASKED_SCORE, SCORE_BOUND, Block
from heed.model.nn.ngrams import FIRST_FACTOR, PREVIOUS_FACTOR, TAGS, NgramModel

OPSET = 23
"""The first that has attention.

The next one's may be told how many keys there are instead of which, and is 2 to 9 % quicker, but
onnxruntime 1.24.4 leaves that out, says nothing and takes padding for text.
"""


def to_onnx(network: ServedNetwork) -> bytes:
    """The network as an ONNX file's content; equal networks give equal bytes."""
    sizes, bag = network.config, network.ngrams
    pooled = {"weigh": "", "share": "attention"}
    pooled["contributions"] = "network_contributions" if bag else "contributions"
    body = parts.TOKENS + (parts.MASK if sizes.blocks else "")
    for n in range(sizes.blocks):
        body += parts.BLOCK.format(n=n, next=n + 1, heads=sizes.heads, epsilon=network.norm.eps)
    if bag:
        body += parts.COUNT
    if bag and bag.bags > 1:
        pooled |= {"weigh": parts.WEIGH, "share": "weighed_attention"}
    body += parts.POOLING.format(blocks=sizes.blocks, epsilon=network.norm.eps, **pooled)
    if bag:
        body += _ngrams(bag)
    body += parts.LOGITS
    graph = parse_graph(
        f"heed (int64[batch, tokens] input_ids) => (float[batch, {sizes.classes}] logits, "
        f"float[batch, tokens] attention, float[batch, tokens, {sizes.classes}] contributions) "
        f"{{{body}}}"
    )
    assert [value.name for value in graph.input] == [INPUT]
    assert tuple(value.name for value in graph.output) == OUTPUTS
    used = {name for node in graph.node for name in node.input}
    constants = _constants(network)
    graph.initializer.extend(
        numpy_helper.from_array(np.ascontiguousarray(value), name)
        for name, value in sorted(constants.items())
        if name in used
    )
    opset = onnx.helper.make_opsetid("", OPSET)
    model = onnx.helper.make_model(
        graph,
        opset_imports=[opset],
        ir_version=onnx.helper.find_min_ir_version_for([opset]),
        producer_name="heed",
    )
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _ngrams(bag: NgramModel) -> str:
    longest = bag.sizes.longest
    triples, keys = (parts.TRIPLES, "keys") if longest > 2 else ("", "pair_key")
    all_tokens = bag.sizes.tokens == bag.sizes.vocabulary
    rows, row = ("", "input_ids") if all_tokens else (parts.TOKEN_ROWS, "token_row")
    return parts.NGRAMS.format(
        triples=triples,
        keys=keys,
        token_rows=rows,
        token_row=row,
        apart=", ".join(f"said{n}" for n in range(longest)),
        longest=longest,
        says=parts.TWO_BAGS if bag.bags > 1 else parts.ONE_BAG,
    )


def _constants(network: ServedNetwork) -> dict[str, NDArray[Any]]:
    """Every tensor that a part of the graph may name."""
    sizes, pooling = network.config, network.pooling
    found: dict[str, Tensor] = {
        "table": network.table,
        "scale": network.scale.squeeze(1),
        "position": network.position,
        "no_columns": torch.zeros(sizes.max_tokens, 1),
        "minus_one": torch.tensor([-1]),
        "width": torch.tensor([sizes.width]),
        "rows_shape": torch.tensor([-1, sizes.width]),
        "zero": torch.tensor([0]),
        "one": torch.tensor([1]),
        "two": torch.tensor([2]),
        "one_two": torch.tensor([1, 2]),
        "reach": torch.tensor(SCORE_BOUND),
        "nothing": torch.tensor(0.0),
        "masked": torch.tensor(MASKED_SCORE),
        "query_weight": pooling.query.weight.T / SCORE_BOUND,  # the scores are r tanh(y . q / r)
        **_linear("gate", pooling.gate),
        **_linear("head", network.head),
        **_norm("", network.norm),
    }
    for n, block in enumerate(network.blocks):
        assert isinstance(block, Block)
        up, _, _, down = block.feed_forward
        assert isinstance(up, nn.Linear)
        assert isinstance(down, nn.Linear)
        found |= _norm("a_", block.norm_attention, n) | _norm("f_", block.norm_feed_forward, n)
        for name in ("query", "key", "value", "join"):
            found |= _linear(name, getattr(block.attention, name), n)
        found |= _linear("up", up, n) | _linear("down", down, n)
    if bag := network.ngrams:
        found |= {
            "one_on": torch.tensor([0, 1, 0, -1]),
            "first_factor": torch.tensor(FIRST_FACTOR),
            "before_factor": torch.tensor(PREVIOUS_FACTOR),
            "minus_places": torch.tensor(-bag.sizes.places),
            "no_row": torch.tensor(0),
            "tag_count": torch.tensor(TAGS),
            "tags": bag.tags,
            "token_rows": bag.rows,
            "ngram_table": bag.table,
            "ngram_scale": bag.scale,
        }
        count = torch.arange(sizes.max_tokens + 1).clamp(min=1)[:, None]  # no text has 0
        found["bag_weights"] = count[:, None] ** -0.5  # (N + 1, 1, 1)
        if bag.bags > 1:
            gate = bag.gate(count)
            in_short, in_long = network.weights
            of_bags = torch.stack([1 - gate, gate], dim=1)[:, None]
            found |= {
                "bag_weights": of_bags * count[:, None, None] ** -0.5,  # (N + 1, 1, 2, 1)
                "network_weights": in_short + gate * (in_long - in_short),  # (N + 1, 1)
                "ngram_scale": bag.scale.view(2, -1),
                "unit_shape": torch.tensor([0, 1, -1]),
            }
    return {name: tensor.detach().numpy() for name, tensor in found.items()}


def _linear(name: str, layer: nn.Linear, n: int | str = "") -> dict[str, Tensor]:
    return {f"{name}_weight{n}": layer.weight.T, f"{name}_bias{n}": layer.bias}


def _norm(name: str, layer: nn.LayerNorm, n: int | str = "") -> dict[str, Tensor]:
    return {f"{name}gain{n}": layer.weight, f"{name}offset{n}": layer.bias}

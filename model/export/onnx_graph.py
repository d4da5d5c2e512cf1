"""Write the network as an ONNX graph.

PyTorch's exporter makes more nodes, and a text takes a sixth more time (docs/speed.md).
`check_parity` compares PyTorch and the graph for every bundle.
"""

from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.parser import parse_graph
from torch import Tensor, nn

from heed.model.export import onnx_templates as templates
from heed.model.export.served_network import ServedNetwork
from heed.model.inference import INPUT, OUTPUTS
from heed.model.nn import (
    FIRST_FACTOR,
    MASKED_SCORE,
    PREVIOUS_FACTOR,
    SCORE_BOUND,
    TAGS,
    Block,
    NgramModel,
)

OPSET = 23
"""The first opset with an Attention operator.

Opset 24 can take the number of keys in place of a mask, which is 2 to 9 % faster. But onnxruntime
1.24.4 ignores that input without an error and then attends to padding.
"""


def to_onnx(network: ServedNetwork) -> bytes:
    """Return the network as the content of an ONNX file; equal networks give equal bytes."""
    config, ngrams = network.config, network.ngrams
    pooling = {"network_weight": "", "weights": "attention"}
    pooling["contributions"] = "network_contributions" if ngrams else "contributions"
    body = templates.TOKENS + (templates.MASK if config.blocks else "")
    for n in range(config.blocks):
        body += templates.BLOCK.format(
            n=n, next=n + 1, heads=config.heads, epsilon=network.norm.eps
        )
    if ngrams:
        body += templates.COUNT
    if ngrams and ngrams.tables > 1:
        pooling |= {"network_weight": templates.NETWORK_WEIGHT, "weights": "weighted_attention"}
    body += templates.POOLING.format(blocks=config.blocks, epsilon=network.norm.eps, **pooling)
    if ngrams:
        body += _ngram_body(ngrams)
    body += templates.LOGITS
    graph = parse_graph(
        f"heed (int64[batch, tokens] input_ids) => (float[batch, {config.classes}] logits, "
        f"float[batch, tokens] attention, float[batch, tokens, {config.classes}] contributions) "
        f"{{{body}}}"
    )
    assert [value.name for value in graph.input] == [INPUT]
    assert tuple(value.name for value in graph.output) == OUTPUTS
    used = {name for node in graph.node for name in node.input}
    graph.initializer.extend(
        numpy_helper.from_array(np.ascontiguousarray(value), name)
        for name, value in sorted(_constants(network).items())
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


def _ngram_body(ngrams: NgramModel) -> str:
    order = ngrams.config.order
    triples, keys = (templates.TRIPLES, "keys") if order > 2 else ("", "pair_key")
    every_token_has_a_row = ngrams.config.tokens == ngrams.config.vocabulary
    token_rows, token_row = (
        ("", "input_ids") if every_token_has_a_row else (templates.TOKEN_ROWS, "token_row")
    )
    return templates.NGRAMS.format(
        triples=triples,
        keys=keys,
        token_rows=token_rows,
        token_row=token_row,
        parts=", ".join(f"ngram_part{n}" for n in range(order)),
        order=order,
        tables=templates.TWO_TABLES if ngrams.tables > 1 else templates.ONE_TABLE,
    )


def _constants(network: ServedNetwork) -> dict[str, NDArray[Any]]:
    """Return every tensor that a template may use."""
    config, pooling = network.config, network.pooling
    tensors: dict[str, Tensor] = {
        "embedding_table": network.table,
        "embedding_scale": network.scale.squeeze(1),
        "position": network.position,
        "zero_column": torch.zeros(config.max_tokens, 1),
        "minus_one": torch.tensor([-1]),
        "width": torch.tensor([config.width]),
        "rows_shape": torch.tensor([-1, config.width]),
        "zero": torch.tensor([0]),
        "one": torch.tensor([1]),
        "two": torch.tensor([2]),
        "one_two": torch.tensor([1, 2]),
        "score_bound": torch.tensor(SCORE_BOUND),
        "zero_score": torch.tensor(0.0),
        "masked_score": torch.tensor(MASKED_SCORE),
        "query_weight": pooling.query.weight.T / SCORE_BOUND,  # the scores are r tanh(y . q / r)
        **_linear("gate", pooling.gate),
        **_linear("head", network.head),
        **_norm("", network.norm),
    }
    for n, block in enumerate(network.blocks):
        assert isinstance(block, Block)
        tensors |= _block_constants(block, n)
    if network.ngrams:
        tensors |= _ngram_constants(network, network.ngrams)
    return {name: tensor.detach().numpy() for name, tensor in tensors.items()}


def _block_constants(block: Block, n: int) -> dict[str, Tensor]:
    up, _, _, down = block.feed_forward
    assert isinstance(up, nn.Linear)
    assert isinstance(down, nn.Linear)
    tensors = _norm("attention_", block.norm_attention, n)
    tensors |= _norm("hidden_", block.norm_feed_forward, n)
    for name in ("query", "key", "value", "join"):
        tensors |= _linear(name, getattr(block.attention, name), n)
    return tensors | _linear("up", up, n) | _linear("down", down, n)


def _ngram_constants(network: ServedNetwork, ngrams: NgramModel) -> dict[str, Tensor]:
    lengths = torch.arange(network.config.max_tokens + 1).clamp(min=1)[:, None]  # no text has 0
    tensors = {
        "shift_by_one": torch.tensor([0, 1, 0, -1]),
        "first_factor": torch.tensor(FIRST_FACTOR),
        "previous_factor": torch.tensor(PREVIOUS_FACTOR),
        "minus_buckets": torch.tensor(-ngrams.config.buckets),
        "padding_row": torch.tensor(0),
        "tag_count": torch.tensor(TAGS),
        "tags": ngrams.tags,
        "token_rows": ngrams.token_rows,
        "ngram_table": ngrams.table,
        "ngram_scale": ngrams.scale,
        "ngram_weights": lengths[:, None] ** -0.5,  # (N + 1, 1, 1)
    }
    if ngrams.tables > 1:
        gate = ngrams.gate(lengths)
        short, long = network.weights
        of_tables = torch.stack([1 - gate, gate], dim=1)[:, None]
        tensors |= {
            "ngram_weights": of_tables * lengths[:, None, None] ** -0.5,  # (N + 1, 1, 2, 1)
            "network_weights": short + gate * (long - short),  # (N + 1, 1)
            "ngram_scale": ngrams.scale.view(2, -1),
            "unit_shape": torch.tensor([0, 1, -1]),
        }
    return tensors


def _linear(name: str, layer: nn.Linear, n: int | str = "") -> dict[str, Tensor]:
    return {f"{name}_weight{n}": layer.weight.T, f"{name}_bias{n}": layer.bias}


def _norm(name: str, layer: nn.LayerNorm, n: int | str = "") -> dict[str, Tensor]:
    return {f"{name}gain{n}": layer.weight, f"{name}offset{n}": layer.bias}

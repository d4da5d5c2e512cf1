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

from model.export import ShippedNetwork
from model.layers import MASKED_SCORE, REACH, Block
from model.ngrams import BEFORE, FIRST, OWN, Ngrams
from model.session import INPUT, OUTPUTS

OPSET = 23
"""The first that has attention."""

_TOKENS = """
    # Only the rows of a text's tokens are turned back into floats. Rows are all texts' tokens, one
    # text after another, (B T, D): with two axes a product takes its bias along.
    is_token = Cast <to = 9> (input_ids)
    ids_shape = Shape (input_ids)
    row_ids = Reshape (input_ids, minus_one)
    row_codes = Gather (table, row_ids)
    row_scales = Gather (scale, row_ids)
    rows = DequantizeLinear <axis = 0> (row_codes, row_scales)
    shape = Concat <axis = 0> (ids_shape, width)
    x = Reshape (rows, shape)
    length = Shape <start = 1> (input_ids)
    places = Slice (position, zero, length)
    located = Add (x, places)
    y0 = Reshape (located, rows_shape)
"""
_MASK = """
    # Attention wants to know of every query whether it may look at a key: (B, 1, T, T).
    is_key = Unsqueeze (is_token, one_two)
    no_column = Slice (no_columns, zero, length)
    may_look = Or (is_key, no_column)
"""
_BLOCK = """
    a_norm{n} = LayerNormalization <epsilon = {epsilon}> (y{n}, a_gain{n}, a_offset{n})
    query_rows{n} = Gemm (a_norm{n}, query_weight{n}, query_bias{n})
    key_rows{n} = Gemm (a_norm{n}, key_weight{n}, key_bias{n})
    value_rows{n} = Gemm (a_norm{n}, value_weight{n}, value_bias{n})
    query{n} = Reshape (query_rows{n}, shape)
    key{n} = Reshape (key_rows{n}, shape)
    value{n} = Reshape (value_rows{n}, shape)
    mixed{n} = Attention <q_num_heads = {heads}, kv_num_heads = {heads}>
        (query{n}, key{n}, value{n}, may_look)
    mixed_rows{n} = Reshape (mixed{n}, rows_shape)
    joined{n} = Gemm (mixed_rows{n}, join_weight{n}, join_bias{n})
    z{n} = Add (y{n}, joined{n})
    f_norm{n} = LayerNormalization <epsilon = {epsilon}> (z{n}, f_gain{n}, f_offset{n})
    wide{n} = Gemm (f_norm{n}, up_weight{n}, up_bias{n})
    active{n} = Relu (wide{n})
    fed{n} = Gemm (active{n}, down_weight{n}, down_bias{n})
    y{next} = Add (z{n}, fed{n})
"""
_POOLING = """
    context = LayerNormalization <epsilon = {epsilon}> (y{blocks}, gain, offset)
    open_rows = Gemm (context, gate_weight, gate_bias)
    gate_rows = Tanh (open_rows)
    gate = Reshape (gate_rows, shape)
    gated = Mul (x, gate)
    score_rows = Gemm (context, query_weight)
    bounded = Tanh (score_rows)
    reached = Mul (bounded, reach)
    scores = Reshape (reached, ids_shape)
    masked_scores = Where (is_token, scores, masked)
    attention = Softmax (masked_scores)
    looks = Unsqueeze (attention, one)
    pooled = MatMul (looks, gated)
    pooled_rows = Squeeze (pooled, one)
    {logits} = Gemm (pooled_rows, head_weight, head_bias)
    shares = Unsqueeze (attention, two)
    token_logits = MatMul (gated, head_weight)
    {contributions} = Mul (token_logits, shares)
"""
_TRIPLES = """
    first = Pad (before, one_on)
    first_key = Mul (first, first_factor)
    triple_key = Add (first_key, pair_key)
    triple_row = Mod (triple_key, pair_count)
    triple_codes = Gather (pairs, triple_row)
    triple_says = DequantizeLinear <axis = 2> (triple_codes, ngram_scale)
"""
_LONG_SAYS = """
    log_count = Log (count)
    from_short = Sub (log_count, short)
    to_long = Mul (from_short, rise)
    gate_of_long = Clip (to_long, least_gate, most_gate)
    long_codes = Gather (long, token_row)
    long_says = DequantizeLinear <axis = 2> (long_codes, ngram_scale)
    more = Mul (long_says, gate_of_long)
"""
_NGRAMS = """
    before = Pad (input_ids, one_on)
    before_key = Mul (before, before_factor)
    own_key = Mul (input_ids, own_factor)
    pair_key = Add (before_key, own_key)
    pair_row = Mod (pair_key, pair_count)
    token_row = Gather (token_rows, input_ids)
    pair_codes = Gather (pairs, pair_row)
    token_codes = Gather (tokens, token_row)
    pair_says = DequantizeLinear <axis = 2> (pair_codes, ngram_scale)
    token_says = DequantizeLinear <axis = 2> (token_codes, ngram_scale)
    is_said = Unsqueeze (is_token, one)
    ones = Cast <to = 1> (is_said)
    count = ReduceSum (ones, two)
    {more}
    says = {sum} ({said})
    root = Pow (count, minus_half)
    weight = Mul (ones, root)
    ngram_sums = MatMul (weight, says)
    ngram_logits = Squeeze (ngram_sums, one)
    logits = Add (network_logits, ngram_logits)
    weights = Transpose <perm = [0, 2, 1]> (weight)
    ngram_contributions = Mul (says, weights)
    contributions = Add (network_contributions, ngram_contributions)
"""


def to_onnx(network: ShippedNetwork) -> bytes:
    """The network as an ONNX file's content; equal networks give equal bytes."""
    sizes, bag = network.config, network.ngrams
    ends = {name: f"network_{name}" if bag else name for name in ("logits", "contributions")}
    body = _TOKENS + (_MASK if sizes.blocks else "")
    for n in range(sizes.blocks):
        body += _BLOCK.format(n=n, next=n + 1, heads=sizes.heads, epsilon=network.norm.eps)
    body += _POOLING.format(blocks=sizes.blocks, epsilon=network.norm.eps, **ends)
    if bag:
        body += _ngrams(bag)
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


def _ngrams(bag: Ngrams) -> str:
    more, said = "", ["token_says", "pair_says"]
    if bag.sizes.longest > 2:
        more += _TRIPLES
        said.append("triple_says")
    if bag.sizes.lengths:
        more += _LONG_SAYS
        said.append("more")
    return _NGRAMS.format(more=more, sum="Add" if len(said) == 2 else "Sum", said=", ".join(said))


def _constants(network: ShippedNetwork) -> dict[str, NDArray[Any]]:
    """Every tensor that a part of the graph may name."""
    sizes, pooling = network.config, network.pooling
    found: dict[str, Tensor] = {
        "table": network.table,
        "scale": network.scale.squeeze(1),
        "position": network.position,
        "no_columns": torch.zeros(sizes.max_tokens, 1, dtype=torch.bool),
        "minus_one": torch.tensor([-1]),
        "width": torch.tensor([sizes.width]),
        "rows_shape": torch.tensor([-1, sizes.width]),
        "zero": torch.tensor([0]),
        "one": torch.tensor([1]),
        "two": torch.tensor([2]),
        "one_two": torch.tensor([1, 2]),
        "reach": torch.tensor(REACH),
        "masked": torch.tensor(MASKED_SCORE),
        "query_weight": pooling.query.weight.T / REACH,  # the scores are r tanh(y . q / r)
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
            "first_factor": torch.tensor(FIRST),
            "before_factor": torch.tensor(BEFORE),
            "own_factor": torch.tensor(OWN),
            "pair_count": torch.tensor(len(bag.pairs)),
            "token_rows": bag.rows,
            "tokens": bag.tokens,
            "pairs": bag.pairs,
            "ngram_scale": bag.scale,
            "minus_half": torch.tensor(-0.5),
        }
        if bag.sizes.lengths:
            short, long = bag.lengths.log()
            found |= {
                "long": bag.long,
                "short": short,
                "rise": 1 / (long - short),
                "least_gate": torch.tensor(0.0),
                "most_gate": torch.tensor(1.0),
            }
    return {name: tensor.detach().numpy() for name, tensor in found.items()}


def _linear(name: str, layer: nn.Linear, n: int | str = "") -> dict[str, Tensor]:
    return {f"{name}_weight{n}": layer.weight.T, f"{name}_bias{n}": layer.bias}


def _norm(name: str, layer: nn.LayerNorm, n: int | str = "") -> dict[str, Tensor]:
    return {f"{name}gain{n}": layer.weight, f"{name}offset{n}": layer.bias}

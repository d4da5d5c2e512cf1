"""The layers compute their equations; padding and batches do not change an output."""

import math

import pytest
import torch

from heed.model.nn.layers import (
    GatedPooling,
    SelfAttention,
    attention,
    positional_encoding,
    softmax,
)
from heed.model.nn.network import Network, NetworkConfig, Output

TEXTS = [[5, 9, 2], [7], [3, 3, 8, 1, 12, 4, 19], [1, 2]]
WIDTH = 6
MASK = torch.tensor([[True] * 4, [True, True, False, False]])


@pytest.fixture(params=[0, 1, 2], ids="blocks={}".format)
def network(request: pytest.FixtureRequest) -> Network:
    """A small network with random weights and biases."""
    torch.manual_seed(4)
    config = NetworkConfig(vocabulary=20, classes=3, max_tokens=16, width=16, blocks=request.param)
    network = Network(config).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return network


def _pooling() -> tuple[GatedPooling, torch.Tensor, torch.Tensor]:
    """Return a pooling with random weights, and random x and y for `MASK`."""
    torch.manual_seed(4)
    pooling = GatedPooling(WIDTH).double()
    for parameter in pooling.parameters():  # some are 0 initially
        torch.nn.init.normal_(parameter)
    x, y = torch.randn(2, *MASK.shape, WIDTH, dtype=torch.float64)
    return pooling, x, y


@torch.no_grad()
def run(network: Network, texts: list[list[int]], length: int = 0) -> Output:
    """Run one batch, padded with id 0 to its longest text or to `length`."""
    length = max(length, *map(len, texts))
    output = network(torch.tensor([text + [0] * (length - len(text)) for text in texts]))
    assert isinstance(output, Output)
    return output


def assert_equal(output: Output, alone: Output, row: int) -> None:
    """Row `row` of a batch equals the output for the text alone, and is 0 at padding."""
    tokens = alone.attention.shape[1]
    torch.testing.assert_close(output.logits[row], alone.logits[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(output.attention[row, :tokens], alone.attention[0])
    torch.testing.assert_close(
        output.contributions[row, :tokens], alone.contributions[0], atol=1e-5, rtol=0
    )
    assert not output.attention[row, tokens:].any()
    assert not output.contributions[row, tokens:].any()


@pytest.mark.parametrize("scale", [1.0, 1e4, 1e30])
def test_softmax_does_not_overflow(scale: float) -> None:
    scores = scale * torch.tensor([1.0, 3.0, 2.0, 3.0])
    weights = softmax(scores, torch.ones(4, dtype=torch.bool))
    assert weights.sum() == pytest.approx(1)
    assert weights[1] == weights[3] == weights.max()
    if scale > 1:
        assert weights.tolist() == [0, 0.5, 0, 0.5]


def test_adding_a_constant_to_all_scores_does_not_change_softmax() -> None:
    scores, mask = torch.randn(3, 7, dtype=torch.float64), torch.ones(7, dtype=torch.bool)
    torch.testing.assert_close(softmax(scores + 1000, mask), softmax(scores, mask))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("score", [-100.0, 0.0, 1e4])
def test_softmax_is_exactly_zero_at_padding(dtype: torch.dtype, score: float) -> None:
    mask = torch.tensor([[True, True, False], [True, False, False]])
    weights = softmax(torch.full((2, 3), score, dtype=dtype), mask)
    assert weights.dtype == dtype
    assert weights.tolist() == [[0.5, 0.5, 0], [1, 0, 0]]


@pytest.mark.parametrize("masked", [False, True])
def test_attention_equals_that_of_pytorch(masked: bool) -> None:
    query, key, value = (torch.randn(2, 3, 5, 4) for _ in range(3))
    mask = torch.ones(2, 1, 1, 5, dtype=torch.bool)
    mask[1, ..., 3:] = not masked
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    mixed, weights = attention(query, key, value, mask)
    torch.testing.assert_close(mixed, expected)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(2, 3, 5))


@torch.no_grad()
def test_self_attention_is_equal_in_training_and_evaluation() -> None:
    layer, x = SelfAttention(WIDTH, 2), torch.randn(2, 4, WIDTH)
    training, serving = layer.train()(x, MASK), layer.eval()(x, MASK)
    torch.testing.assert_close(training, serving)


@pytest.mark.parametrize(("length", "width"), [(1, 1), (50, 2), (300, 64), (9, 7)])
def test_positional_encoding_follows_the_formula(length: int, width: int) -> None:
    encoding = positional_encoding(length, width)
    assert encoding.shape == (length, width)
    for position in {0, 1, length // 2, length - 1} & set(range(length)):
        for column in {0, 1, width // 2, width - 1} & set(range(width)):
            wave = math.cos if column % 2 else math.sin
            expected = wave(position / 10000 ** ((column - column % 2) / width))
            assert encoding[position, column].item() == pytest.approx(expected, abs=1e-6)


def test_a_batch_gives_the_output_of_each_text_alone(network: Network) -> None:
    output = run(network, TEXTS)
    for row, text in enumerate(TEXTS):
        assert_equal(output, run(network, [text]), row)


def test_more_padding_does_not_change_the_output(network: Network) -> None:
    for text in TEXTS:
        assert_equal(run(network, [text], length=16), run(network, [text]), row=0)


def test_bias_and_contributions_add_up_to_the_logits(network: Network) -> None:
    output = run(network, TEXTS)
    total = network.head.bias + output.contributions.sum(dim=1)
    torch.testing.assert_close(output.logits, total, atol=1e-5, rtol=0)


def test_attention_sums_to_one(network: Network) -> None:
    weights = run(network, TEXTS).attention
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(len(TEXTS)))
    assert (weights >= 0).all()


@pytest.mark.parametrize("context_gradients", [False, True])
def test_gradients_flow_through_the_context_only_if_configured(
    context_gradients: bool,
) -> None:
    """The attention depends on the embeddings only through the context."""
    sizes = NetworkConfig(
        vocabulary=20, classes=2, max_tokens=8, width=8, context_gradients=context_gradients
    )
    network = Network(sizes).train()
    torch.nn.init.normal_(network.pooling.query.weight)
    found: Output = network(torch.tensor([[5, 9, 2]]))
    (weight,) = network.embedding.parameters()
    found.attention[0, 0].backward()  # type: ignore[no-untyped-call]
    assert (weight.grad is not None) == context_gradients


def test_the_order_of_tokens_changes_the_output(network: Network) -> None:
    forward, backward = run(network, [[5, 9, 2]]), run(network, [[2, 9, 5]])
    assert not torch.allclose(forward.logits, backward.logits, atol=1e-4)


@torch.no_grad()
def test_pooling_computes_its_equations() -> None:
    """z[t] = a[t] g[t] * x_t."""
    pooling, x, y = _pooling()
    pooled, weights = pooling(x, y, MASK)
    for text, real in enumerate(MASK):
        scores = 4 * torch.tanh(y[text, real] @ pooling.query.weight[0] / 4)
        expected = scores.exp() / scores.exp().sum()
        gates = torch.tanh(y[text, real] @ pooling.gate.weight.T + pooling.gate.bias)
        torch.testing.assert_close(weights[text, real], expected)
        torch.testing.assert_close(pooled[text, real], expected[:, None] * gates * x[text, real])


@torch.no_grad()
def test_pooling_is_exactly_zero_at_padding() -> None:
    pooling, x, y = _pooling()
    pooled, weights = pooling(x, y, MASK)
    assert not pooled[~MASK].any()
    assert not weights[~MASK].any()
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(len(MASK)).double())


@torch.no_grad()
def test_with_a_fixed_context_a_token_changes_only_its_own_output() -> None:
    """This is why contributions are exact: weights and gates depend on y only."""
    pooling, x, y = _pooling()
    before, weights = pooling(x, y, MASK)
    other = x.clone()
    other[0, 2] *= 3
    after, same = pooling(other, y, MASK)
    assert torch.equal(same, weights)
    changed = (after != before).any(dim=-1)
    assert changed.nonzero().tolist() == [[0, 2]]
    torch.testing.assert_close(after[0, 2], 3 * before[0, 2])


@torch.no_grad()
def test_the_context_of_one_token_changes_the_output_of_all_tokens() -> None:
    """This is the limit of contributions: a change of y changes every weight of the text."""
    pooling, x, y = _pooling()
    before, _ = pooling(x, y, MASK)
    other = y.clone()
    other[0, 2] += 1
    after, _ = pooling(x, other, MASK)
    changed = (after != before).any(dim=-1)
    assert changed[0].all()
    assert not changed[1].any()

"""The graph that ships: its form, its sizes, its bags."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
import torch.nn.functional as F

from heed.model.export.onnx_graph import OPSET, to_onnx
from heed.model.export.served_network import ServedNetwork
from heed.model.inference.bundle import Bundle
from heed.model.metrics.calibration import Mixture
from heed.model.nn.network import Network, NetworkConfig
from heed.model.nn.ngrams import TAGS, NgramConfig, NgramModel, bucket_index, ngram_key
from heed.model.training.ngram_features import NO_OWNER


def test_padding_is_exactly_zero(trained: Path) -> None:
    session = ort.InferenceSession(Bundle.load(trained).model)
    limit = Bundle.load(trained).config.max_tokens
    ids = np.ones((limit, limit), dtype=np.int64)
    ids[np.triu_indices(limit, 1)] = 0  # row n has n + 1 tokens
    _, attention, contributions = session.run(None, {"input_ids": ids})
    assert (attention[ids == 0] == 0).all()
    assert (contributions[ids == 0] == 0).all()


def test_the_graph(trained: Path) -> None:
    model = onnx.load_from_string(Bundle.load(trained).model)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", OPSET)]
    assert not model.functions
    dims = [
        [d.dim_param or d.dim_value for d in each.type.tensor_type.shape.dim]
        for each in (*model.graph.input, *model.graph.output)
    ]
    assert dims == [["batch", "tokens"], ["batch", 2], ["batch", "tokens"], ["batch", "tokens", 2]]
    tables = [t.name for t in model.graph.initializer if t.data_type == onnx.TensorProto.INT8]
    assert sorted(tables) == ["ngram_table", "table"]
    readers = [node.op_type for node in model.graph.node if {*tables} & {*node.input}]
    assert readers == ["Gather"] * 2  # only a text's rows are turned back into floats


@pytest.mark.parametrize(("blocks", "max_tokens"), [(0, 1), (2, 7)])
def test_other_sizes(blocks: int, max_tokens: int) -> None:
    sizes = NetworkConfig(
        vocabulary=50, classes=5, max_tokens=max_tokens, width=6, heads=2, blocks=blocks,
    )  # fmt: skip
    network = ServedNetwork(Network(sizes))
    session = ort.InferenceSession(to_onnx(network))
    for batch in (1, 3):
        ids = torch.randint(1, 50, (batch, max_tokens))
        with torch.no_grad():
            wanted = network(ids)
        found = session.run(None, {"input_ids": ids.numpy()})
        assert np.abs(found[0] - wanted.logits.numpy()).max() < 1e-5
        assert np.abs(found[2] - wanted.contributions.numpy()).max() < 1e-5


@pytest.mark.parametrize(
    ("classes", "lengths", "longest"),
    [(3, None, 2), (3, None, 3), (3, (2.0, 5.0), 2), (3, (2.0, 5.0), 3), (30_000, None, 3)],
)
def test_a_bag_in_the_graph(
    classes: int, lengths: tuple[float, float] | None, longest: int
) -> None:
    """Texts shorter than the short, longer than the long, and in between; padded and not.

    With 30,000 classes not every token has a row.
    """
    torch.manual_seed(1)
    bag = NgramModel(NgramConfig(50, classes, lengths, longest))
    bag.rows.copy_(torch.arange(50) % bag.sizes.tokens)
    bag.table.random_(-127, 128)
    bag.table[0] = 0
    bag.scale.uniform_(0.01, 0.1)
    bag.bias.normal_()
    ids = torch.randint(1, 50, (4, 9)) * (torch.arange(9) < torch.tensor([[1], [3], [5], [9]]))
    bag.tags.fill_(NO_OWNER)
    of_tokens = bag.say(ids)
    before = F.pad(ids, (1, 0))[:, :-1]
    keys = [ngram_key(before, ids), ngram_key(before, ids, F.pad(before, (1, 0))[:, :-1])]
    for key in keys[: longest - 1]:  # half of the pairs, and half of the triples, have a row
        owners = key[ids != 0][::2]
        bag.tags[bucket_index(owners, len(bag.tags))] = (owners % TAGS).to(torch.uint8)
    assert 0.2 < (bag.say(ids) != of_tokens)[ids != 0].float().mean() < 0.9
    sizes = NetworkConfig(vocabulary=50, classes=classes, max_tokens=9, width=8, heads=2)
    trained, bags = Network(sizes), bag.bags
    assert bags == (1 if lengths is None else 2)
    mixture = Mixture((0.7, 0.2)[:bags], (1.3, 0.4)[:bags], 0.6)
    network = ServedNetwork(trained, bag, mixture)
    session = ort.InferenceSession(to_onnx(network))
    with torch.no_grad():
        wanted = network(ids)
    logits, _, contributions = session.run(None, {"input_ids": ids.numpy()})
    np.testing.assert_allclose(logits, wanted.logits, atol=1e-5)
    np.testing.assert_allclose(contributions, wanted.contributions, atol=1e-5)
    bias = network.head.bias.detach().numpy()
    np.testing.assert_allclose(logits, contributions.sum(axis=1) + bias, atol=1e-5)
    assert (contributions[ids == 0] == 0).all()
    # The shortest text is all of the first bag's, the longest all of the last's.
    for row, place in ((0, 0), (3, -1)):
        one = trained.eval()(ids[row : row + 1]).logits - trained.head.bias
        only = np.eye(bags)[place].tolist()
        said = (
            mixture.network[place] * one + mixture.ngrams[place] * bag.times(only)(ids).logits[row]
        )
        wanted_alone = (said - said.mean(dim=1, keepdim=True)).detach().numpy()[0]
        found_alone = logits[row] - bias
        np.testing.assert_allclose(found_alone - found_alone.mean(), wanted_alone, atol=0.05)

"""The ONNX graph: its form, and equal outputs to PyTorch for networks of all kinds."""

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


def test_outputs_are_exactly_zero_at_padding(trained: Path) -> None:
    session = ort.InferenceSession(Bundle.load(trained).model)
    limit = Bundle.load(trained).config.max_tokens
    ids = np.ones((limit, limit), dtype=np.int64)
    ids[np.triu_indices(limit, 1)] = 0  # row n has n + 1 tokens
    _, attention, contributions = session.run(None, {"input_ids": ids})
    assert (attention[ids == 0] == 0).all()
    assert (contributions[ids == 0] == 0).all()


def test_the_graph_has_dynamic_axes_and_two_tables_in_8_bits(trained: Path) -> None:
    model = onnx.load_from_string(Bundle.load(trained).model)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", OPSET)]
    assert not model.functions
    dims = [
        [d.dim_param or d.dim_value for d in each.type.tensor_type.shape.dim]
        for each in (*model.graph.input, *model.graph.output)
    ]
    assert dims == [["batch", "tokens"], ["batch", 2], ["batch", "tokens"], ["batch", "tokens", 2]]
    tables = [t.name for t in model.graph.initializer if t.data_type == onnx.TensorProto.INT8]
    assert sorted(tables) == ["embedding_table", "ngram_table"]
    readers = [node.op_type for node in model.graph.node if {*tables} & {*node.input}]
    assert readers == ["Gather"] * 2, "only the rows of a text are dequantised"


@pytest.mark.parametrize(("blocks", "max_tokens"), [(0, 1), (2, 7)])
def test_networks_of_other_sizes_give_equal_outputs(blocks: int, max_tokens: int) -> None:
    config = NetworkConfig(
        vocabulary=50, classes=5, max_tokens=max_tokens, width=6, heads=2, blocks=blocks,
    )  # fmt: skip
    network = ServedNetwork(Network(config))
    session = ort.InferenceSession(to_onnx(network))
    for batch in (1, 3):
        ids = torch.randint(1, 50, (batch, max_tokens))
        with torch.no_grad():
            expected = network(ids)
        logits, _, contributions = session.run(None, {"input_ids": ids.numpy()})
        assert np.abs(logits - expected.logits.numpy()).max() < 1e-5
        assert np.abs(contributions - expected.contributions.numpy()).max() < 1e-5


@pytest.mark.parametrize(
    ("classes", "lengths", "order"),
    [(3, None, 2), (3, None, 3), (3, (2.0, 5.0), 2), (3, (2.0, 5.0), 3), (30_000, None, 3)],
)
def test_ngram_models_of_all_kinds_give_equal_outputs(
    classes: int, lengths: tuple[float, float] | None, order: int
) -> None:
    """One text is short, one is long, two are in between. With 30,000 classes, rare tokens have no
    row.
    """
    torch.manual_seed(1)
    ngrams = NgramModel(NgramConfig(50, classes, lengths, order))
    ngrams.token_rows.copy_(torch.arange(50) % ngrams.config.tokens)
    ngrams.table.random_(-127, 128)
    ngrams.table[0] = 0
    ngrams.scale.uniform_(0.01, 0.1)
    ngrams.bias.normal_()
    ids = torch.randint(1, 50, (4, 9)) * (torch.arange(9) < torch.tensor([[1], [3], [5], [9]]))
    ngrams.tags.fill_(NO_OWNER)
    of_tokens = ngrams.contributions(ids)
    previous = F.pad(ids, (1, 0))[:, :-1]
    keys = [ngram_key(previous, ids), ngram_key(previous, ids, F.pad(previous, (1, 0))[:, :-1])]
    for key in keys[: order - 1]:  # half of the pairs, and half of the triples, own a bucket
        owners = key[ids != 0][::2]
        ngrams.tags[bucket_index(owners, len(ngrams.tags))] = (owners % TAGS).to(torch.uint8)
    changed = (ngrams.contributions(ids) != of_tokens)[ids != 0]
    assert 0.2 < changed.float().mean() < 0.9
    config = NetworkConfig(vocabulary=50, classes=classes, max_tokens=9, width=8, heads=2)
    trained, tables = Network(config), ngrams.tables
    assert tables == (1 if lengths is None else 2)
    mixture = Mixture((0.7, 0.2)[:tables], (1.3, 0.4)[:tables], 0.6)
    network = ServedNetwork(trained, ngrams, mixture)
    session = ort.InferenceSession(to_onnx(network))
    with torch.no_grad():
        expected = network(ids)
    logits, _, contributions = session.run(None, {"input_ids": ids.numpy()})
    np.testing.assert_allclose(logits, expected.logits, atol=1e-5)
    np.testing.assert_allclose(contributions, expected.contributions, atol=1e-5)
    bias = network.head.bias.detach().numpy()
    np.testing.assert_allclose(logits, contributions.sum(axis=1) + bias, atol=1e-5)
    assert (contributions[ids == 0] == 0).all()
    # The shortest text uses only the first table, the longest only the last one.
    for row, table in ((0, 0), (3, -1)):
        of_network = trained.eval()(ids[row : row + 1]).logits - trained.head.bias
        one_table = np.eye(tables)[table].tolist()
        of_ngrams = ngrams.scaled(one_table)(ids).logits[row]
        mixed = mixture.network[table] * of_network + mixture.ngrams[table] * of_ngrams
        centred = (mixed - mixed.mean(dim=1, keepdim=True)).detach().numpy()[0]
        without_bias = logits[row] - bias
        np.testing.assert_allclose(without_bias - without_bias.mean(), centred, atol=0.05)

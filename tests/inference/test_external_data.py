"""A network with a tensor outside its file is found, wherever the tensor is."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import onnx
import pytest
from onnx import TensorProto, helper

from heed.model.errors import BundleError
from heed.model.inference.bundle import Bundle, write_bundle
from heed.model.inference.external_data import has_external_data
from heed.model.inference.session import Session
from tests.support.bundles import CONFIG, small_tokenizer, write_small_bundle
from tests.support.command import ROOT


def tensor(*, external: bool) -> TensorProto:
    made = helper.make_tensor("weight", TensorProto.FLOAT, [2], [1.0, 2.0])
    if external:
        made.ClearField("float_data")
        made.data_location = TensorProto.EXTERNAL
        made.external_data.add(key="location", value="weights.bin")
    return made


def graph(*nodes: onnx.NodeProto, initializer: TensorProto | None = None) -> onnx.GraphProto:
    output = helper.make_tensor_value_info("out", TensorProto.FLOAT, [2])
    return helper.make_graph(
        list(nodes), "graph", [], [output], [initializer] if initializer else []
    )


def constant(value: TensorProto) -> onnx.NodeProto:
    return helper.make_node("Constant", [], ["out"], value=value)


def branch(inner: onnx.GraphProto) -> onnx.NodeProto:
    return helper.make_node("If", ["condition"], ["out"], then_branch=inner, else_branch=graph())


def sparse(value: TensorProto) -> onnx.SparseTensorProto:
    indices = helper.make_tensor("indices", TensorProto.INT64, [2], [0, 1])
    return helper.make_sparse_tensor(value, indices, [4])


def with_function(value: TensorProto) -> onnx.ModelProto:
    function = helper.make_function(
        "domain", "Function", [], ["out"], [constant(value)], [helper.make_opsetid("", 18)]
    )
    return helper.make_model(graph(), functions=[function])


def with_sparse_initializer(value: TensorProto) -> onnx.ModelProto:
    model = helper.make_model(graph())
    model.graph.sparse_initializer.append(sparse(value))
    return model


def with_training(value: TensorProto) -> onnx.ModelProto:
    model = helper.make_model(graph())
    model.training_info.add().algorithm.CopyFrom(graph(initializer=value))
    return model


def with_attribute(name: str, value: TensorProto) -> onnx.ModelProto:
    node = onnx.NodeProto(op_type="Custom")
    attribute = node.attribute.add(name="value")
    if name == "tensors":
        attribute.tensors.append(value)
    elif name == "graphs":
        attribute.graphs.append(graph(initializer=value))
    elif name == "sparse_tensor":
        attribute.sparse_tensor.CopyFrom(sparse(value))
    else:
        attribute.sparse_tensors.append(sparse(value))
    return helper.make_model(graph(node))


MODELS: dict[str, Callable[[TensorProto], onnx.ModelProto]] = {
    "an initializer": lambda value: helper.make_model(graph(initializer=value)),
    "a constant": lambda value: helper.make_model(graph(constant(value))),
    "a subgraph": lambda value: helper.make_model(
        graph(branch(graph(branch(graph(constant(value))))))
    ),
    "an initializer of a subgraph": lambda value: helper.make_model(
        graph(branch(graph(initializer=value)))
    ),
    "a function": with_function,
    "a sparse initializer": with_sparse_initializer,
    "training information": with_training,
    "tensors": lambda value: with_attribute("tensors", value),
    "graphs": lambda value: with_attribute("graphs", value),
    "a sparse tensor": lambda value: with_attribute("sparse_tensor", value),
    "sparse tensors": lambda value: with_attribute("sparse_tensors", value),
}  # fmt: skip


@pytest.mark.parametrize("where", MODELS)
def test_external_data_is_found(where: str) -> None:
    for external in (True, False):
        model = MODELS[where](tensor(external=external))
        assert has_external_data(model.SerializeToString()) is external


def test_a_location_without_keys_and_keys_without_a_location_are_external() -> None:
    for field in ("external_data", "data_location"):
        value = tensor(external=True)
        value.ClearField(field)
        assert has_external_data(MODELS["a constant"](value).SerializeToString())


def test_a_default_location_is_not_external() -> None:
    value = tensor(external=False)
    value.data_location = TensorProto.DEFAULT
    assert not has_external_data(MODELS["a constant"](value).SerializeToString())


@pytest.mark.parametrize("name", ["intents", "sentiment", "sentiment-zh"])
def test_the_shipped_networks_have_no_external_data(name: str) -> None:
    assert not has_external_data((ROOT / "bundles" / name / "model.onnx").read_bytes())


@pytest.mark.parametrize(
    "content",
    [b"\x3a", b"\x3a\x05ab", b"\x00\x01", b"\x3b", b"\x80" * 11, b"\xf8\xff\xff\xff\xff\x01\x00"],
)
def test_a_file_that_is_not_protobuf_is_an_error(content: bytes) -> None:
    with pytest.raises(ValueError, match="byte"):
        has_external_data(content)


def test_every_file_that_protobuf_reads_is_read_alike() -> None:
    """Damaged files: what `onnx` finds external is found, or the file is refused."""
    random = Random(8)
    sound = [MODELS[where](tensor(external=True)).SerializeToString() for where in MODELS]
    read = 0
    for _ in range(4000):
        content = bytearray(random.choice(sound))
        for _ in range(random.randrange(1, 3)):
            content[random.randrange(len(content))] ^= 1 << random.randrange(8)
        model = onnx.ModelProto()
        try:
            model.ParseFromString(bytes(content))
        except Exception:  # protobuf has several kinds of error
            continue
        external = any(value.external_data or value.data_location for value in all_tensors(model))
        try:
            found = has_external_data(bytes(content))
        except ValueError:
            continue
        assert found or not external
        read += external
    assert read > 500


def all_tensors(message: object) -> list[TensorProto]:
    """Every tensor in a message of protobuf, found by its descriptors."""
    if isinstance(message, TensorProto):
        return [message]
    found = []
    for _, value in message.ListFields():  # type: ignore[attr-defined]
        for one in value if hasattr(value, "append") or hasattr(value, "add") else [value]:
            if hasattr(one, "ListFields"):
                found += all_tensors(one)
    return found


def test_a_bundle_with_external_data_is_refused(tmp_path: Path) -> None:
    model = MODELS["an initializer"](tensor(external=True)).SerializeToString()
    bundle = write_bundle(tmp_path / "small", CONFIG, model, small_tokenizer(), "")
    with pytest.raises(BundleError, match=r"model\.onnx: a tensor has its data in another file"):
        Session(bundle)


def test_a_network_in_the_format_of_onnxruntime_is_refused(tmp_path: Path) -> None:
    """That format may have external data, too, which `has_external_data` cannot read."""
    import onnxruntime as ort

    source = ROOT / "bundles" / "sentiment-zh"
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "model.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    ort.InferenceSession(str(source / "model.onnx"), options, providers=["CPUExecutionProvider"])
    content = (tmp_path / "model.ort").read_bytes()
    bundle = write_bundle(tmp_path / "small", CONFIG, content, small_tokenizer(), "")
    with pytest.raises(BundleError, match=r"model\.onnx: "):
        Session(bundle)


def test_a_small_bundle_has_no_network(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not a valid ONNX file"):
        Session(Bundle.load(write_small_bundle(tmp_path / "small")))

"""A real server with a network whose output is not finite for some texts."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from heed.model.inference.bundle import Bundle, write_bundle
from tests.support.checks import check_problem, check_same
from tests.support.server import Server, serve


@pytest.fixture(scope="module")
def poisoned(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """A server whose network returns infinite logits for a text with an unknown character."""
    bundle = Bundle.load(trained)
    model = onnx.load_from_string(bundle.model)
    graph = model.graph
    for node in graph.node:
        for index, output in enumerate(node.output):
            if output == "logits":
                node.output[index] = "clean"
    graph.initializer.extend(
        [
            helper.make_tensor("unknown", TensorProto.INT64, [], [1]),
            helper.make_tensor("poison_one", TensorProto.FLOAT, [], [1.0]),
            helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
        ]
    )
    graph.node.extend(
        [
            helper.make_node("Equal", ["input_ids", "unknown"], ["hit"]),
            helper.make_node("Cast", ["hit"], ["hits"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMax", ["hits", "axis"], ["any"], keepdims=1),
            helper.make_node("Sub", ["poison_one", "any"], ["none"]),
            helper.make_node("Div", ["any", "none"], ["poison"]),
            helper.make_node("Add", ["clean", "poison"], ["logits"]),
        ]
    )
    path = tmp_path_factory.mktemp("bundles") / "poisoned"
    write_bundle(
        path, bundle.config.model_dump(), model.SerializeToString(), bundle.tokenizer.to_json(), ""
    )
    with serve(path) as running:
        yield running


def test_a_failing_text_does_not_affect_the_other_texts(poisoned: Server) -> None:
    texts = ["a good film", "☠", "a bad film", "☠ ☠"]
    response = poisoned.post({"texts": texts}, "/classify/batch")
    assert response.status_code == 200
    results = response.json()["results"]
    for index in (1, 3):
        assert list(results[index]) == ["error"]
        problem = results[index]["error"]
        assert sorted(problem) == ["detail", "request_id", "status", "title", "type"]
        assert problem["status"] == 500
    for index in (0, 2):
        single = poisoned.post({"text": texts[index]}).json()
        check_same(
            {"model": single["model"], "version": single["version"]} | results[index], single
        )
    check_problem(poisoned.post({"text": "☠"}), 500)
    assert poisoned.get("/healthz").json() == {"status": "ok"}


def test_failing_texts_under_load_fail_no_other_request(poisoned: Server) -> None:
    texts = ["☠" if index % 7 == 0 else f"a film {index}" for index in range(70)]
    with ThreadPoolExecutor(32) as pool:
        statuses = list(pool.map(lambda text: poisoned.post({"text": text}).status_code, texts))
    assert statuses == [500 if text == "☠" else 200 for text in texts]

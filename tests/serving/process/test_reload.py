"""Reload of bundles and API keys, with the real command."""

import os
import shutil
import signal
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.serving.process.test_processes import load
from tests.support.bundles import read_config, write_config
from tests.support.server import Server, serve, wait_for

BODY = {"text": "a film", "explain": "none"}


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """A folder with one bundle, `reviews`."""
    shutil.copytree(trained, tmp_path / "bundles" / "reviews")
    return tmp_path / "bundles"


@pytest.fixture
def two(folder: Path) -> Generator[Server]:
    """A server of two workers, whose standard input is no terminal."""
    with serve(folder, "--workers", 2) as server:
        yield server


def set_version(bundle: Path, version: str) -> None:
    write_config(bundle, read_config(bundle) | {"version": version})


def reload(server: Server) -> None:
    server.process.send_signal(signal.SIGHUP)


def versions(server: Server, model: str = "reviews", requests: int = 20) -> set[str]:
    """The versions that answer on new connections, so that both workers are asked."""
    headers = {"Content-Type": "application/json", "Connection": "close"}
    answers = [server.post(BODY | {"model": model}, headers=headers) for _ in range(requests)]
    return {answer.json().get("version", str(answer.status_code)) for answer in answers}


def test_a_new_version_replaces_the_old_one_in_every_worker(two: Server, folder: Path) -> None:
    first = versions(two)
    set_version(folder / "reviews", "2.0")
    assert versions(two) == first
    with load(two) as wrong:
        reload(two)
        wait_for(lambda: versions(two) == {"2.0"}, two)
    assert wrong == []
    assert two.metric('heed_reloads_total{result="loaded"}') == 1


@pytest.mark.slow
def test_a_replaced_worker_serves_what_is_served_and_not_what_the_disk_has(
    two: Server, folder: Path
) -> None:
    first = versions(two)
    set_version(folder / "reviews", "2.0")
    (folder / "reviews" / "model.onnx").write_bytes(b"")
    before = two.workers()
    os.kill(before[0], signal.SIGKILL)
    wait_for(lambda: len(two.workers()) == 2 and two.workers() != before, two)
    wait_for(lambda: two.metric("heed_ready_workers") == 2, two)
    assert versions(two) == first
    assert two.metric("heed_worker_restarts_total") == 1


def test_a_refused_bundle_leaves_the_old_one(two: Server, folder: Path) -> None:
    first = versions(two)
    write_config(folder / "reviews", read_config(folder / "reviews") | {"bias": [0.0]})
    reload(two)
    wait_for(lambda: "reload_error" in two.get("/models/reviews").json(), two)
    assert versions(two) == first
    assert two.log.count("bias") == 1
    assert two.metric('heed_reloads_total{result="refused"}') == 1


def test_a_bundle_that_only_a_worker_can_refuse_leaves_the_old_one(
    two: Server, folder: Path
) -> None:
    first = versions(two)
    config = read_config(folder / "reviews")
    write_config(folder / "reviews", config | {"bias": [value + 1 for value in config["bias"]]})
    reload(two)
    wait_for(lambda: "reload_error" in two.get("/models/reviews").json(), two)
    assert versions(two) == first
    write_config(folder / "reviews", config | {"version": "2.0"})
    reload(two)
    wait_for(lambda: versions(two) == {"2.0"}, two)
    assert "reload_error" not in two.get("/models/reviews").json()


@pytest.mark.slow
def test_versions_are_served_side_by_side_and_withdrawn(two: Server, folder: Path) -> None:
    (first,) = versions(two)
    shutil.copytree(folder / "reviews", folder / ".new")
    set_version(folder / ".new", "99.0")
    (folder / ".new").rename(folder / "next")
    reload(two)
    wait_for(lambda: versions(two) == {"99.0"}, two)
    assert versions(two, f"reviews@{first}") == {first}
    listed = two.get("/models").json()["models"]
    assert {model["version"] for model in listed} == {first, "99.0"}
    shutil.rmtree(folder / "next")
    reload(two)
    wait_for(lambda: versions(two) == {first}, two)
    assert versions(two, "reviews@99.0") == {"404"}
    shutil.rmtree(folder / "reviews")
    reload(two)
    wait_for(lambda: two.get("/readyz").status_code == 503, two)
    assert two.post(BODY).status_code == 404
    assert two.metric('heed_reloads_total{result="withdrawn"}') == 2


def test_the_folder_is_watched(folder: Path) -> None:
    with serve(folder, "--watch", 0.1) as server:
        set_version(folder / "reviews", "2.0")
        wait_for(lambda: versions(server, requests=1) == {"2.0"}, server)


def test_keys_are_read_again_and_kept_if_they_cannot_be_read(folder: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("old\n")

    def status(key: str) -> int:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
        return server.post(BODY, headers=headers).status_code

    with serve(folder, "--api-keys-file", keys) as server:
        assert (status("old"), status("new")) == (200, 401)
        keys.write_text("new\n")
        reload(server)
        wait_for(lambda: (status("old"), status("new")) == (401, 200), server)
        keys.unlink()
        reload(server)
        wait_for(lambda: "the old keys stay valid" in server.log, server)
        assert status("new") == 200

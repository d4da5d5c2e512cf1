"""The container image and the compose files, built and run by a real engine."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.bundles import read_config, write_config

pytestmark = [pytest.mark.container, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
IMAGE = "heed:local"
LOCKED = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
BOTH = ["-f", "docker-compose.yml", "-f", "docker/compose.gpu.yml"]


def docker(*arguments: str, **environment: str) -> str:
    """Run docker in the repository and return what it prints; a failure shows what it said."""
    done = subprocess.run(
        ["docker", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"docker {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
    return done.stdout.strip()


@dataclass(frozen=True)
class Container:
    name: str
    url: str

    def inspect(self, template: str) -> str:
        return docker("inspect", "--format", template, self.name)

    def terminate(self) -> int:
        """Send SIGTERM and return the exit status."""
        docker("kill", "--signal=TERM", self.name)
        return int(docker("wait", self.name))


@contextmanager
def started(*options: str) -> Iterator[Container]:
    """A container of the image that has become healthy; it is removed at the end."""
    published = ["--publish=127.0.0.1::8000", "--health-interval=1s"]
    name = docker("run", "--detach", *LOCKED, *published, *options, IMAGE)
    try:
        address = docker("port", name, "8000").splitlines()[0]
        container = Container(name, f"http://{address}")
        wait_until_healthy(container)
        yield container
    finally:
        docker("rm", "--force", name)


def wait_until_healthy(container: Container, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while container.inspect("{{.State.Health.Status}}") != "healthy":
        logs = subprocess.run(["docker", "logs", container.name], capture_output=True, check=False)
        assert container.inspect("{{.State.Status}}") == "running", logs.stderr
        assert time.monotonic() < deadline, logs.stderr
        time.sleep(0.25)


@pytest.fixture(scope="module")
def engine() -> None:
    reachable = (
        shutil.which("docker")
        and not subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    )
    if not reachable:
        pytest.skip("no container engine answers")


@pytest.fixture(scope="module")
def image(engine: None) -> str:
    docker("build", "--network=host", f"--tag={IMAGE}", ".")
    return IMAGE


@pytest.fixture(scope="module")
def container(image: str) -> Iterator[Container]:
    with started() as running:
        yield running


def test_answers_with_a_read_only_root(container: Container) -> None:
    assert httpx.get(f"{container.url}/readyz").json() == {"status": "ready"}
    answer = httpx.post(f"{container.url}/classify", json={"text": "A gripping film."}).json()
    assert answer["label"] in answer["probabilities"]
    assert "".join(token["text"] for token in answer["tokens"]) == "Agrippingfilm."


def test_runs_as_a_user_who_is_not_root(container: Container) -> None:
    assert container.inspect("{{.Config.User}}") == "10001:10001"
    assert docker("exec", container.name, "id", "-u") == "10001"


def test_holds_neither_pytorch_nor_pip(container: Container) -> None:
    find = "from importlib.util import find_spec as f; print(f('torch'), f('pip'))"
    assert docker("exec", container.name, "python", "-c", find) == "None None"


def test_health_check_fails_where_nothing_answers(container: Container) -> None:
    check = ["docker", "exec", "--env=HEED_PORT=1", container.name, "python", "/app/healthcheck.py"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("/readyz on port 1 does not answer")


def test_sigterm_answers_what_is_in_flight_and_exits_0(image: str) -> None:
    texts = ["one of the most gripping films of the year " * 25] * 512
    with (
        started("--env=HEED_MAX_QUEUE=10000000", "--env=HEED_TIMEOUT=300") as running,
        ThreadPoolExecutor() as pool,
    ):
        # Slow enough that the answer cannot be there before the signal.
        docker("update", "--cpus=0.2", running.name)
        url = f"{running.url}/classify/batch"
        answer = pool.submit(httpx.post, url, json={"texts": texts}, timeout=300)
        time.sleep(1)
        assert not answer.done()
        docker("kill", "--signal=TERM", running.name)
        docker("update", "--cpus=2", running.name)
        response = answer.result()
        assert response.status_code == 200
        assert [result["label"] for result in response.json()["results"]].count("positive") == 512
        assert docker("wait", running.name) == "0"


def test_bundles_can_be_replaced_by_a_volume(image: str, tmp_path: Path) -> None:
    other = tmp_path / "bundles" / "other"
    shutil.copytree(ROOT / "bundles" / "sentiment", other)
    write_config(other, read_config(other) | {"name": "other"})
    with started(f"--volume={other.parent}:/bundles:ro") as running:
        assert httpx.get(f"{running.url}/models").json()["default"] == "other"
        assert running.terminate() == 0


@pytest.mark.parametrize("mode", [0o755, 0o700], ids=["empty", "unreadable"])
def test_a_folder_without_bundles_ends_the_container_with_2(
    image: str, tmp_path: Path, mode: int
) -> None:
    bundles = tmp_path / "bundles"
    bundles.mkdir(mode=mode)
    done = subprocess.run(
        ["docker", "run", "--rm", f"--volume={bundles}:/bundles:ro", image],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    # The engine may have warned before.
    assert re.search(r"(^|\n)heed: /bundles[^\n]+\n$", done.stderr)
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("files", [[], BOTH], ids=["cpu", "gpu"])
def test_compose_files_are_valid(files: list[str]) -> None:
    service = json.loads(docker("compose", *files, "config", "--format=json"))["services"]["heed"]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["ports"][0]["host_ip"] == "127.0.0.1"
    assert ("devices" in json.dumps(service.get("deploy", {}))) == bool(files)


@pytest.mark.usefixtures("image")
def test_compose_up_serves_and_down_removes() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    project = ["compose", f"--project-name=heed-test-{port}"]
    try:
        docker(*project, "up", "--detach", "--no-build", "--wait", HEED_PORT=port)
        assert httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
        docker(*project, "stop", HEED_PORT=port)
        state = json.loads(docker(*project, "ps", "--all", "--format=json", HEED_PORT=port))
        assert state["ExitCode"] == 0
    finally:
        docker(*project, "down", "--volumes", HEED_PORT=port)
    assert docker(*project, "ps", "--all", "--quiet", HEED_PORT=port) == ""


@pytest.mark.parametrize(
    ("device", "wanted"),
    [("cpu", {"onnxruntime"}), ("gpu", {"onnxruntime-gpu", "onnxruntime-gpu[cuda,cudnn]"})],
)
def test_the_image_takes_the_onnxruntime_of_its_device(device: str, wanted: set[str]) -> None:
    program = [sys.executable, "docker/requirements.py", device]
    lines = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = {line.split("==")[0] for line in lines.splitlines() if line.startswith("onnxruntime")}
    assert wanted <= names
    assert (device == "gpu") == any(name.startswith("onnxruntime-gpu") for name in names)

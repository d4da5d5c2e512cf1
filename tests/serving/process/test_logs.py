"""The log of the server: text, or one JSON object a line."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.support.server import Server, serve, wait_for

EVENT_FIELDS = {"time", "level", "message"}
REQUEST_FIELDS = EVENT_FIELDS | {
    "request_id",
    "route",
    "status",
    "model",
    "version",
    "texts",
    "tokens",
    "queue_ms",
    "tokenize_ms",
    "inference_ms",
}
SECRET_TEXT = "an unmistakable secret film"
KEY = "secret-key-of-the-tests"


def request_lines(server: Server) -> dict[str, Any]:
    """Return the JSON lines of requests, by the id of the request."""
    lines = [json.loads(line) for line in list(server.lines)]
    return {line["request_id"]: line for line in lines if "route" in line}


def test_a_json_log_has_one_object_for_each_event_and_request(
    trained: Path, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(KEY)
    with serve(trained, "--log-format", "json", "--api-keys-file", keys) as server:

        def post(request_id: str, body: Any, path: str, key: str = KEY) -> None:
            headers = {
                "Content-Type": "application/json",
                "Authorization": f"Bearer {key}",
                "X-Request-Id": request_id,
            }
            server.post(body, path, headers=headers)

        post("one", {"text": SECRET_TEXT}, "/classify")
        post("many", {"texts": [SECRET_TEXT, "two"]}, "/classify/batch")
        post("unknown-field", {"text": SECRET_TEXT, SECRET_TEXT: 1}, "/classify")
        post("wrong-key", {"text": SECRET_TEXT}, "/classify", "another-secret-key")
        post("missing", {"text": SECRET_TEXT}, f"/{SECRET_TEXT}")
        wait_for(lambda: "missing" in request_lines(server))
        lines = request_lines(server)
        server.stop()

    events = [json.loads(line) for line in server.lines]
    assert all(set(event) == EVENT_FIELDS for event in events if "route" not in event)
    assert all(set(event) == REQUEST_FIELDS for event in events if "route" in event)
    now = datetime.now(UTC)
    for event in events:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["time"])
        assert timedelta(0) < now - datetime.fromisoformat(event["time"]) < timedelta(minutes=5)
        assert event["level"] in ("info", "warning", "error")
        assert event["message"]
    assert "secret" not in server.log.replace(str(keys), "")

    one = lines["one"]
    version = server_version(trained)
    assert (one["route"], one["status"], one["texts"]) == ("/classify", 200, 1)
    assert (one["model"], one["version"]) == ("reviews", version)
    assert one["tokens"] >= 4
    assert all(0 <= one[f"{stage}_ms"] < 60_000 for stage in ("queue", "tokenize", "inference"))
    assert (lines["many"]["texts"], lines["many"]["status"]) == (2, 200)
    assert lines["unknown-field"]["status"] == 422
    assert (lines["wrong-key"]["status"], lines["wrong-key"]["model"]) == (401, None)
    assert (lines["missing"]["route"], lines["missing"]["status"]) == ("other", 404)


def test_a_text_log_has_requests_only_at_the_level_debug(trained: Path) -> None:
    for level, expected in (("info", False), ("debug", True)):
        with serve(trained, "--log-level", level) as server:
            headers = {"X-Request-Id": "found-in-log", "Content-Type": "application/json"}
            assert server.post({"text": SECRET_TEXT}, headers=headers).status_code == 200
            server.stop()
        assert ("request found-in-log: POST /classify 200 in " in server.log) == expected
        assert SECRET_TEXT not in server.log


def server_version(bundle: Path) -> str:
    version: str = json.loads((bundle / "config.json").read_text())["version"]
    return version

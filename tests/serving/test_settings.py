"""Settings come from flags and the environment, and are frozen."""

import hashlib
import inspect
from pathlib import Path

import pytest
from pydantic import ValidationError

from heed.service.settings import Settings, SettingsError, flag, unknown_variables
from tests.support.command import heed

DEFAULTS = {name: field.default for name, field in Settings.model_fields.items()}
CONTRACT = {
    "host": "127.0.0.1",
    "port": 8000,
    "bundles": Path("bundles"),
    "default_model": None,
    "workers": 1,
    "threads": 1,
    "device": "auto",
    "precision": "float32",
    "max_body": 2 * 1024**2,
    "max_texts": 1024,
    "max_queue": 65536,
    "timeout": 30,
    "drain_seconds": 0,
    "keep_alive": 120,
    "write_timeout": 30,
    "max_connections": 1000,
    "max_inflight_bytes": 64 * 1024**2,
    "api_keys_file": None,
    "rate_limit": None,
    "trusted_proxies": None,
    "allow_origin": None,
    "root_path": None,
    "watch": 0,
    "log_level": "info",
    "log_format": "text",
}


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in DEFAULTS:
        monkeypatch.delenv(f"HEED_{name.upper()}", raising=False)


def test_defaults_are_those_of_the_contract() -> None:
    assert DEFAULTS == CONTRACT
    assert Settings.read().model_dump() == CONTRACT


def test_flags_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEED_MAX_QUEUE", "7")
    monkeypatch.setenv("HEED_MAX_BODY", "1 MiB")
    monkeypatch.setenv("HEED_TIMEOUT", "not a number")
    monkeypatch.setenv("HEED_THREADS", "")
    settings = Settings.read(max_body="10", timeout="2.5", workers=None)
    assert (settings.max_queue, settings.max_body, settings.timeout) == (7, 10, 2.5)
    assert (settings.threads, settings.workers) == (1, 1)


def test_unknown_variables_are_reported() -> None:
    links = ("HEED_SERVICE_HOST", "HEED_PORT_8000_TCP")  # set by Kubernetes
    assert unknown_variables(["HEED_PORT", "PATH", *links]) == []
    assert unknown_variables(["HEED_WOKERS", "HEED_X"]) == [
        "HEED_WOKERS: no such setting; did you mean HEED_WORKERS?",
        "HEED_X: no such setting",
    ]


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings.read().port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("port", "70000"), ("port", "-1"), ("port", "x"), ("workers", "0"), ("threads", "0")),
        *(("device", "tpu"), ("max_body", "0"), ("max_body", "many"), ("max_texts", "0")),
        *(("max_queue", "0"), ("timeout", "0"), ("timeout", "nan"), ("timeout", "inf")),
        *(("keep_alive", "0"), ("write_timeout", "nan"), ("max_connections", "0")),
        *(("max_inflight_bytes", "0"), ("rate_limit", "0"), ("rate_limit", "x")),
        *(("trusted_proxies", "10.0.0.1/8"), ("trusted_proxies", "proxy")),
        *(("allow_origin", "example.org"), ("allow_origin", "https://example.org/")),
        *(("root_path", "heed"), ("root_path", "/a//b"), ("root_path", "/a b")),
        *(("drain_seconds", "-1"), ("log_level", "loud")),
    ],
)
def test_an_unusable_value_names_its_flag_or_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with pytest.raises(SettingsError, match=f"^{flag(name)}: '{value}' cannot be used: "):
        Settings.read(**{name: value})
    monkeypatch.setenv(f"HEED_{name.upper()}", value)
    with pytest.raises(SettingsError, match=f"^HEED_{name.upper()}: '{value}' cannot be used: "):
        Settings.read()


def test_a_line_of_the_key_file_is_a_key_or_a_label_and_a_key(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    assert Settings.read().api_key_digests() == {}
    for content, message in (
        (b" \n\n", "the file has no key"),
        (b"\xff", "cannot be read"),
        (b"one\n # of mine\n", "row 2: a line must not begin with #"),
        (b"one\n\nteam b key\n", "row 3: write KEY or LABEL KEY"),
    ):
        keys.write_bytes(content)
        with pytest.raises(SettingsError, match=message):
            Settings.read(api_keys_file=keys).api_key_digests()
    keys.write_text("\ufeffone\r\n\nshop two \n three\nagain one\n")
    assert Settings.read(api_keys_file=keys).api_key_digests() == {
        hashlib.sha256(key).hexdigest(): label
        for key, label in ((b"one", "1"), (b"two", "shop"), (b"three", "4"))
    }


def test_a_setting_with_several_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEED_TRUSTED_PROXIES", "10.0.0.0/8, ::1")
    settings = Settings.read(allow_origin=["https://a.org", "http://localhost:3000"])
    assert settings.trusted_proxies == ("10.0.0.0/8", "::1")
    assert settings.allow_origin == ("https://a.org", "http://localhost:3000")
    assert Settings.model_validate(settings.model_dump(mode="json")) == settings


def test_a_slash_at_the_end_of_the_root_path_is_dropped() -> None:
    assert Settings.read(root_path="/a/b/").root_path == "/a/b"
    assert Settings.read(root_path="/").root_path is None


def test_the_port_that_kubernetes_sets_names_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEED_PORT", "tcp://10.0.0.1:8000")
    with pytest.raises(SettingsError, match=r"^HEED_PORT: .* enableServiceLinks: false"):
        Settings.read()
    assert Settings.read(port="8000").port == 8000


def test_help_lists_every_flag_with_variable_and_default() -> None:
    text = " ".join(heed("serve", "--help").stdout.split())
    for name, field in Settings.model_fields.items():
        start = text.index(f"{flag(name)} VALUE")
        end = text.index(f"[env: HEED_{name.upper()}]")
        line = text[start:end]
        assert " ".join(str(field.description).split(" [")[0].split()) in line
        if field.default is not None:
            assert f"[default: {field.default}]" in line


def test_the_command_has_an_option_for_each_setting() -> None:
    from heed.__main__ import serve

    assert list(inspect.signature(serve).parameters) == list(DEFAULTS)

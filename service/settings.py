"""All options of the service: by flag (`--max-queue`) or by environment (`HEED_MAX_QUEUE`)."""

import hashlib
import ipaddress
import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ByteSize,
    Field,
    PositiveInt,
    ValidationError,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from heed.model.errors import HeedError

ROOT_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")
ORIGIN = re.compile(r"\*|[a-z][a-z0-9+.-]*://[^\s/,*]+")


def _split(value: Any) -> Any:
    """Return the parts of a value with commas, or of several such values."""
    values = [value] if isinstance(value, str) else value
    return [part.strip() for text in values or () for part in text.split(",") if part.strip()]


def _check_networks(networks: tuple[str, ...]) -> tuple[str, ...]:
    """Return networks as they are; raise ValueError for one that is not valid."""
    for network in networks:
        ipaddress.ip_network(network)
    return networks


def _check_origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    """Return origins as they are; raise ValueError for one that no browser sends."""
    for origin in origins:
        if not ORIGIN.fullmatch(origin):
            raise ValueError(f"{origin} is no origin; write https://example.org, or *")
    return origins


def _check_root_path(path: str) -> str | None:
    """Return a path without the slash at its end; raise ValueError if it is not valid."""
    path = path.rstrip("/")
    if path and not ROOT_PATH.fullmatch(path):
        raise ValueError("write a path such as /heed")
    return path or None


Count = Annotated[int, Field(ge=1, le=256)]
Parts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""Several values: a flag that is given more than once, or one text with commas."""


class SettingsError(HeedError):
    """A flag or an environment variable has an unusable value."""


class Settings(BaseSettings):
    """One frozen object, created at start and passed as a value. Flags override the environment."""

    model_config = SettingsConfigDict(
        env_prefix="HEED_",
        frozen=True,
        extra="forbid",
        env_ignore_empty=True,
        use_attribute_docstrings=True,  # the descriptions of `heed serve --help`
    )

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """Port; 0 chooses a free one."""
    bundles: Path = Path("bundles")
    """A folder of bundles, or one bundle."""
    default_model: str | None = None
    """Model for requests that name none [default: sentiment, or the only one]."""
    workers: Count = 1
    """Number of processes."""
    threads: Count = 1
    """Inference threads of each process."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto, cpu or cuda; with cuda the server does not start if CUDA is not available."""
    precision: Literal["float32", "tf32", "float16"] = "float32"
    """Number format on a GPU: float32, tf32 (matrix products rounded to ten bits) or float16; with
    the last two, answers may differ by more than a bundle's tolerances."""
    max_body: Annotated[ByteSize, Field(ge=1)] = ByteSize(2 * 1024 * 1024)
    """Maximum bytes of a request body; a larger one is answered with 413."""
    max_texts: PositiveInt = 1024
    """Maximum texts of a batch request; more are answered with 413."""
    max_queue: PositiveInt = 65536
    """Maximum tokens waiting in each process; further requests get 429."""
    timeout: Annotated[float, Field(gt=0, le=86400)] = 30.0
    """Seconds from arrival to answer; after that the answer is 504."""
    drain_seconds: Annotated[float, Field(ge=0, le=86400)] = 0.0
    """Seconds after SIGTERM during which /readyz is 503 before the socket closes."""
    keep_alive: Annotated[float, Field(gt=0, le=86400)] = 120.0
    """Seconds that a connection may be idle; choose more than a proxy in front of the server."""
    write_timeout: Annotated[float, Field(gt=0, le=86400)] = 30.0
    """Seconds in which a client must take a part of its answer; otherwise the connection is
    reset."""
    max_connections: PositiveInt = 1000
    """Maximum connections of each process; further ones are answered with 503 and closed."""
    max_inflight_bytes: Annotated[ByteSize, Field(ge=1)] = ByteSize(64 * 1024 * 1024)
    """Maximum bytes that each process holds for slow clients: bodies that are coming and answers
    that are leaving; requests beyond are answered with 503."""
    api_keys_file: Path | None = None
    """File of API keys, one a line as KEY or LABEL KEY; with it, /classify and /models require a
    key."""
    rate_limit: Annotated[float, Field(gt=0, le=1e6)] | None = None
    """Requests a second of each client (key, or else address), over all processes; after a pause
    twice as many at once; requests beyond are answered with 429 [default: none]."""
    trusted_proxies: Annotated[Parts, AfterValidator(_check_networks)] | None = None
    """Networks of proxies whose X-Forwarded-For has the client's address, with commas between them
    [default: none]."""
    allow_origin: Annotated[Parts, AfterValidator(_check_origins)] | None = None
    """Origin of web pages that may call the server (CORS), or *; may be given more than once
    [default: none]."""
    root_path: Annotated[str, AfterValidator(_check_root_path)] | None = None
    """Prefix of all paths that a proxy in front of the server strips [default: none]."""
    watch: Annotated[float, Field(ge=0, le=86400)] = 0.0
    """Seconds between two readings of the bundle folder and the keys; 0: only after SIGHUP."""
    log_level: Literal["critical", "error", "warning", "info", "debug"] = "info"
    """critical, error, warning, info or debug."""
    log_format: Literal["text", "json"] = "text"
    """text, or json: one JSON object a line, requests too."""

    @classmethod
    def read(cls, **flags: Any) -> Self:
        """Combine flags (None: absent) with the environment; raises `SettingsError`."""
        given = {name: value for name, value in flags.items() if value is not None}
        try:
            return cls(**given)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0])
            source = flag(name) if name in given else variable(name)
            if name == "port" and str(first["input"]).startswith("tcp://"):
                raise SettingsError(
                    f"{source}: {first['input']!r} is set by Kubernetes for a Service named heed; "
                    "set enableServiceLinks: false in the pod's spec, or rename the Service"
                ) from error
            raise SettingsError(
                f"{source}: {first['input']!r} cannot be used: {first['msg']}"
            ) from error

    def api_key_digests(self) -> dict[str, str]:
        """Return the label of each API key, by its SHA-256 in hexadecimal.

        A line of the file is `KEY` or `LABEL KEY`. Without a label, the label is the row. Without a
        file there are no keys. Raises `SettingsError`.
        """
        if self.api_keys_file is None:
            return {}
        source = f"--api-keys-file {self.api_keys_file}"
        try:
            lines = self.api_keys_file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{source}: cannot be read: {error}") from error
        labels: dict[str, str] = {}
        for row, line in enumerate(lines, start=1):
            words = line.split()
            if not words:
                continue
            if words[0].startswith("#"):  # a comment would be a key that is easy to guess
                raise SettingsError(
                    f"{source}: row {row}: a line must not begin with #; remove all comments"
                )
            if len(words) > 2:
                raise SettingsError(f"{source}: row {row}: write KEY or LABEL KEY")
            digest = hashlib.sha256(words[-1].encode()).hexdigest()
            labels.setdefault(digest, words[0] if len(words) == 2 else str(row))
        if not labels:
            raise SettingsError(f"{source}: the file has no key; write one a line")
        return labels


def flag(name: str) -> str:
    """Return the command-line flag of a setting."""
    return "--" + name.replace("_", "-")


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return "HEED_" + name.upper()


def unknown_variables(environment: Iterable[str]) -> list[str]:
    """Return a warning for each variable that begins with HEED_ but is no setting.

    Variables that Kubernetes sets for a Service named `heed` are ignored.
    """
    known = [variable(name) for name in Settings.model_fields]
    warnings = []
    for name in sorted(environment):
        of_kubernetes = name.startswith(("HEED_SERVICE_", "HEED_PORT_"))
        if name.startswith("HEED_") and name not in known and not of_kubernetes:
            near = get_close_matches(name, known, 1, cutoff=0.8)
            hint = f"; did you mean {near[0]}?" if near else ""
            warnings.append(f"{name}: no such setting{hint}")
    return warnings


def cannot_listen(settings: Settings, error: OSError) -> SettingsError:
    """Return the error for an address that is not available."""
    return SettingsError(
        f"cannot listen on {settings.host} port {settings.port}: {error.strerror}; "
        "choose another address with --host or --port"
    )

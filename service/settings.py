"""All options of the service: by flag (`--max-queue`) or by environment (`HEED_MAX_QUEUE`)."""

import hashlib
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import ByteSize, Field, PositiveInt, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from heed.model.errors import HeedError

Count = Annotated[int, Field(ge=1, le=256)]


class SettingsError(HeedError):
    """A flag or an environment variable has an unusable value."""


class Settings(BaseSettings):
    """One frozen object, created at start and passed as a value. A flag beats the environment."""

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
    """Maximum tokens waiting in each process; requests beyond are answered with 429."""
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
    """File of API keys, one a line; with it, /classify and /models require a key."""
    watch: Annotated[float, Field(ge=0, le=86400)] = 0.0
    """Seconds between two readings of the bundle folder and the keys; 0: only after SIGHUP."""
    log_level: Literal["critical", "error", "warning", "info", "debug"] = "info"
    """critical, error, warning, info or debug."""

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
            raise SettingsError(
                f"{source}: {first['input']!r} cannot be used: {first['msg']}"
            ) from error

    def api_keys(self) -> list[str]:
        """Return the API keys, none without a file; raises `SettingsError`."""
        if self.api_keys_file is None:
            return []
        source = f"--api-keys-file {self.api_keys_file}"
        try:
            lines = self.api_keys_file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{source}: cannot be read: {error}") from error
        keys = [line.strip() for line in lines if line.strip()]
        if any(
            key.startswith("#") for key in keys
        ):  # a comment would be a key that is easy to guess
            raise SettingsError(f"{source}: a key must not begin with #; remove all comments")
        if not keys:
            raise SettingsError(f"{source}: the file has no key; write one a line")
        return keys

    def api_key_digests(self) -> dict[str, str]:
        """Return the label of each API key, by its SHA-256 in hexadecimal.

        The label of a key is its row among the keys. Raises `SettingsError`.
        """
        digests = [hashlib.sha256(key.encode()).hexdigest() for key in self.api_keys()]
        return {digest: str(row) for row, digest in enumerate(digests, start=1)}


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

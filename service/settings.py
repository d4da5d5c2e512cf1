"""Everything that can be set: by flag (`--max-queue`) or environment (`HEED_MAX_QUEUE`)."""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import ByteSize, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from heed.model.errors import HeedError


class SettingsError(HeedError):
    """A flag or an environment variable has a value that cannot be used."""


class Settings(BaseSettings):
    """One frozen object, made at start and passed as a value. A flag beats the environment."""

    model_config = SettingsConfigDict(
        env_prefix="HEED_", frozen=True, extra="forbid", env_ignore_empty=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(
        8000, description="Port; 0 takes a free one."
    )
    bundles: Path = Field(Path("bundles"), description="A folder of bundles, or one bundle.")
    default_model: str | None = Field(
        None,
        description="Model that answers when a request names none [default: sentiment,"
        " or the only one].",
    )
    workers: Annotated[int, Field(ge=1, le=256)] = Field(1, description="Processes.")
    threads: Annotated[int, Field(ge=1, le=256)] = Field(
        1, description="Inference threads of each process."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto, cpu or cuda; cuda refuses to start where it cannot be had."
    )
    precision: Literal["float32", "tf32", "float16"] = Field(
        "float32",
        description="Of a GPU's numbers: float32, tf32 (matrix products rounded to ten bits) or"
        " float16; the last two beyond the tolerances of a bundle.",
    )
    max_body: Annotated[ByteSize, Field(ge=1)] = Field(
        ByteSize(2 * 1024 * 1024), description="Bytes of a request; more is refused with 413."
    )
    max_texts: Annotated[int, Field(ge=1)] = Field(
        1024, description="Texts of a batch request; more is refused with 413."
    )
    max_queue: Annotated[int, Field(ge=1)] = Field(
        65536, description="Tokens waiting in each process; more is refused with 429."
    )
    timeout: Annotated[float, Field(gt=0, le=86400)] = Field(
        30.0, description="Seconds from arrival to answer; past it the answer is 504."
    )
    drain_seconds: Annotated[float, Field(ge=0, le=86400)] = Field(
        0.0, description="Seconds after SIGTERM in which /readyz says 503 before the socket closes."
    )
    api_keys_file: Path | None = Field(
        None, description="File of API keys, one a line; then /classify and /models want one."
    )
    log_level: Literal["critical", "error", "warning", "info", "debug"] = Field(
        "info", description="critical, error, warning, info or debug."
    )

    @classmethod
    def read(cls, **flags: Any) -> Self:
        """Join flags (None: not given) with the environment; raises `SettingsError`."""
        given = {name: value for name, value in flags.items() if value is not None}
        try:
            return cls(**given)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0])
            source = flag(name) if name in given else f"HEED_{name.upper()}"
            raise SettingsError(
                f"{source}: {first['input']!r} cannot be used: {first['msg']}"
            ) from error

    def api_keys(self) -> list[str]:
        """Read the keys; an empty list when no file is set. Raises `SettingsError`."""
        if self.api_keys_file is None:
            return []
        try:
            lines = self.api_keys_file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"--api-keys-file {self.api_keys_file}: cannot be read: {error}"
            ) from error
        keys = [line.strip() for line in lines if line.strip()]
        if any(key.startswith("#") for key in keys):  # else anybody could guess it
            raise SettingsError(
                f"--api-keys-file {self.api_keys_file}: a line begins with #, which no key may; "
                "take comments out"
            )
        if not keys:
            raise SettingsError(
                f"--api-keys-file {self.api_keys_file}: no key in it; write one a line"
            )
        return keys


def unknown_variables(environment: Iterable[str]) -> list[str]:
    """Variables that look like settings and are none, each in a sentence.

    Those that Kubernetes sets for a Service named `heed` are left out.
    """
    known = [f"HEED_{name.upper()}" for name in Settings.model_fields]
    found = []
    for name in sorted(environment):
        of_service = name.startswith(("HEED_SERVICE_", "HEED_PORT_"))
        if name.startswith("HEED_") and name not in known and not of_service:
            near = get_close_matches(name, known, 1, cutoff=0.8)
            found.append(f"{name}: no such setting" + (f"; is it {near[0]}?" if near else ""))
    return found


def cannot_listen(settings: Settings, error: OSError) -> SettingsError:
    """What to tell of an address that cannot be had."""
    return SettingsError(
        f"cannot listen on {settings.host} port {settings.port}: {error.strerror}; "
        "choose another with --host or --port"
    )


def flag(name: str) -> str:
    """The command-line flag of a setting."""
    return "--" + name.replace("_", "-")

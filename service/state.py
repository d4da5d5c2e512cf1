"""The objects that an app shares with its routes."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from heed.service.inference import Engine
from heed.service.metrics import Metrics, Snapshot
from heed.service.rate_limit import RateLimiter
from heed.service.settings import Settings


@dataclass
class Service:
    """The parts and the state that middleware and routes use."""

    settings: Settings
    engine: Engine
    metrics: Metrics
    key_labels: Mapping[bytes, str] = field(default_factory=dict)
    """Labels of the API keys, by their SHA-256; empty: no key is needed."""
    rate_limiter: RateLimiter | None = None
    """None: the clients' requests are not limited."""
    reload_errors: Mapping[str, str] = field(default_factory=dict)
    """Why the newest files of a model were refused, by `name@version`."""
    warm: bool = False
    """Every model has classified once."""
    draining: bool = False
    """The process is stopping; it still answers requests."""
    inflight_bytes: int = 0
    """Bytes held for slow clients: bodies that are coming and answers that are leaving."""
    peers_warm: Callable[[], bool] = lambda: True
    """Returns True if each of the other workers is warm, or was once."""
    on_warm: Callable[[], None] = lambda: None
    """Called once, when every model has classified."""
    connections: Callable[[], int] = lambda: 0
    """Returns the number of open connections of this process."""
    collect_all: Callable[[], Awaitable[Snapshot]] | None = None
    """Returns the sum of all workers' metrics; None without a supervisor."""

    @property
    def status(self) -> str:
        """`ready`, or the reason why not."""
        if self.draining:
            return "draining"
        if not self.engine.models:
            return "no bundle is served"
        return "ready" if self.warm and self.peers_warm() else "warming up"

    def use_keys(self, labels: Mapping[str, str]) -> None:
        """Accept these API keys: their labels, by the SHA-256 of the key in hexadecimal."""
        self.key_labels = {bytes.fromhex(digest): label for digest, label in labels.items()}

    def own_metrics(self) -> Snapshot:
        """Return the metrics of this process."""
        return self.metrics.snapshot(
            self.engine.batcher.waiting,
            ready=self.warm and not self.draining,
            connections=self.connections(),
        )

    async def all_metrics(self) -> Snapshot:
        """Return the metrics of all workers."""
        return self.own_metrics() if self.collect_all is None else await self.collect_all()

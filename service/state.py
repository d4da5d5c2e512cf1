"""The objects that an app shares with its routes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from heed.service.inference import Engine
from heed.service.metrics import Metrics, Snapshot
from heed.service.settings import Settings


@dataclass
class Service:
    """The parts and the state that middleware and routes use."""

    settings: Settings
    engine: Engine
    metrics: Metrics
    warm: bool = False
    """Every model has classified once."""
    draining: bool = False
    """The process is stopping; it still answers requests."""
    peers_warm: Callable[[], bool] = lambda: True
    """Returns True if each of the other workers is warm, or was once."""
    on_warm: Callable[[], None] = lambda: None
    """Called once, when every model has classified."""
    collect_all: Callable[[], Awaitable[Snapshot]] | None = None
    """Returns the sum of all workers' metrics; None without a supervisor."""

    @property
    def status(self) -> str:
        """`ready`, or the reason why not."""
        if self.draining:
            return "draining"
        return "ready" if self.warm and self.peers_warm() else "warming up"

    def own_metrics(self) -> Snapshot:
        """Return the metrics of this process."""
        return self.metrics.snapshot(
            self.engine.batcher.waiting, ready=self.warm and not self.draining
        )

    async def all_metrics(self) -> Snapshot:
        """Return the metrics of all workers."""
        return self.own_metrics() if self.collect_all is None else await self.collect_all()

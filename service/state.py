"""What an app holds while it lives."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from service.inference.engine import Engine
from service.metrics import Metrics, exposition
from service.settings import Settings


@dataclass
class Lifecycle:
    """Where the process stands between its start and its end."""

    warm: bool = False
    """Every model has answered once."""
    draining: bool = False
    """The end was asked for; what comes is still answered."""
    peers_warm: bool = True
    """So have those of the other workers."""

    @property
    def status(self) -> str:
        """`ready`, or why not."""
        if self.draining:
            return "draining"
        return "ready" if self.warm and self.peers_warm else "warming up"


@dataclass
class Service:
    """The parts that routes use."""

    settings: Settings
    engine: Engine
    metrics: Metrics
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    collect_peers: Callable[[], Awaitable[list[Any]]] | None = None
    """Asks all workers, this one included, for their samples; None where it is the only one."""

    on_warm: Callable[[], None] = lambda: None
    """Called once, when every model has answered."""

    def dump_metrics(self) -> list[Any]:
        """This process's samples, its gauges set to what is true now."""
        self.metrics.queue.set(self.engine.batcher.waiting)
        self.metrics.ready.set(self.lifecycle.warm and not self.lifecycle.draining)
        return self.metrics.dump()

    async def exposition(self) -> bytes:
        """The metrics of all workers in the Prometheus text format."""
        if self.collect_peers is None:
            return exposition([self.dump_metrics()])
        return exposition(await self.collect_peers())

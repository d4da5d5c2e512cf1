"""What an app holds while it lives."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from heed.service.inference.engine import Engine
from heed.service.metrics.metrics import Metrics
from heed.service.metrics.samples import Samples
from heed.service.settings import Settings


@dataclass
class Lifecycle:
    """Where the process stands between its start and its end."""

    warm: bool = False
    """Every model has answered once."""
    draining: bool = False
    """The end was asked for; what comes is still answered."""
    peers_warm: bool = True
    """The other workers are, or once were, as far."""

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
    ask_all: Callable[[], Awaitable[Samples]] | None = None
    """Adds up the samples of all workers, this one included; None where it is the only one."""
    on_warm: Callable[[], None] = lambda: None
    """Called once, when every model has answered."""

    def own_samples(self) -> Samples:
        """The metrics of this process."""
        ready = self.lifecycle.warm and not self.lifecycle.draining
        return self.metrics.samples(self.engine.batcher.waiting, ready)

    async def samples(self) -> Samples:
        """The metrics of all workers."""
        return self.own_samples() if self.ask_all is None else await self.ask_all()

"""From texts to predictions: a bounded queue, and the threads that run the network."""

from heed.service.inference.batcher import Job
from heed.service.inference.engine import Engine, warm_up

__all__ = [
    "Engine",
    "Job",
    "warm_up",
]

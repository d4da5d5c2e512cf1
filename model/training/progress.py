"""What training shows: a bar on a terminal, a line an epoch elsewhere, curves for TensorBoard."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class TrainingProgress:
    """A bar over all updates; its time left is that of all epochs, which dev may cut short."""

    def __init__(self, epochs: int, updates: int, done: int, title: str = "") -> None:
        """Begin at `done` of `updates`; the bar itself appears within `with`."""
        self._epochs = epochs
        self._title = f"{title} " if title else ""
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._bar = Progress(
            TextColumn(f"{self._title}epoch {{task.fields[epoch]}}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}  dev {task.fields[dev]}"),
            TimeRemainingColumn(),
            TextColumn("left at most"),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task(
            "", total=updates, completed=done, epoch=f"1/{epochs}", loss="–", dev="–"
        )

    def __enter__(self) -> Self:
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the bar away."""
        self._bar.stop()

    def update(self, epoch: int, loss: float) -> None:
        """One update is done; `loss` is the mean of this epoch's so far."""
        self._bar.update(self._task, advance=1, epoch=f"{epoch}/{self._epochs}", loss=f"{loss:.3f}")

    def epoch(self, epoch: int, loss: float, accuracy: float, *, best: bool) -> None:
        """An epoch is done."""
        self._bar.update(self._task, dev=f"{accuracy:.4f}")
        mark = "  best" if best else ""
        self._console.print(
            f"{self._title}epoch {epoch}/{self._epochs}  loss {loss:.3f}  "
            f"dev accuracy {accuracy:.4f}{mark}"
        )


@contextlib.contextmanager
def counting(what: str, total: int, done: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, from `done` to `total`; yields what takes the number that are done."""
    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=total, completed=done)
        yield lambda done: bar.update(task, completed=done)


@contextlib.contextmanager
def curves(logdir: Path | None, done: int) -> Iterator[Callable[[int, dict[str, float]], None]]:
    """Something that takes a step and its numbers, for TensorBoard where a folder is named."""
    if logdir is None:
        yield lambda *_: None
        return
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(logdir), purge_step=done) as writer:

        def write(step: int, numbers: dict[str, float]) -> None:
            for name, number in numbers.items():
                writer.add_scalar(name, number, step)

        yield write

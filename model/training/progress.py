"""Show the progress of a training: a bar on a terminal, a line per epoch, TensorBoard curves."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class TrainingProgress:
    """A bar over all updates. Its time left assumes that training does not stop early."""

    def __init__(self, epochs: int, updates: int, done: int, title: str = "") -> None:
        """Set up the bar, which `with` shows.

        Args:
            epochs: maximum number of epochs.
            updates: maximum number of updates.
            done: number of finished updates.
            title: shown before each epoch.
        """
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
        """Remove the bar."""
        self._bar.stop()

    def update(self, epoch: int, loss: float) -> None:
        """Advance by one update.

        Args:
            epoch: number of the epoch, counted from 1.
            loss: mean loss of the epoch so far.
        """
        self._bar.update(self._task, advance=1, epoch=f"{epoch}/{self._epochs}", loss=f"{loss:.3f}")

    def finish_epoch(self, epoch: int, loss: float, accuracy: float, *, best: bool) -> None:
        """Print the line of a finished epoch.

        Args:
            epoch: number of the epoch, counted from 1.
            loss: mean training loss.
            accuracy: dev accuracy.
            best: whether it is the best epoch so far.
        """
        self._bar.update(self._task, dev=f"{accuracy:.4f}")
        suffix = "  best" if best else ""
        self._console.print(
            f"{self._title}epoch {epoch}/{self._epochs}  loss {loss:.3f}  "
            f"dev accuracy {accuracy:.4f}{suffix}"
        )


@contextlib.contextmanager
def progress_bar(title: str, total: int, done: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal, and yield a function that sets the number of finished items."""
    console = Console(stderr=True)
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=total, completed=done)
        yield lambda done: bar.update(task, completed=done)


@contextlib.contextmanager
def tensorboard_writer(
    logdir: Path | None, done: int
) -> Iterator[Callable[[int, dict[str, float]], None]]:
    """Yield a function that writes the values of a step for TensorBoard.

    Args:
        logdir: the folder to write to; None: write nothing.
        done: number of finished updates. Values of later steps in the folder are discarded.
    """
    if logdir is None:
        yield lambda *_: None
        return
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(logdir), purge_step=done) as writer:

        def write(step: int, values: dict[str, float]) -> None:
            for name, value in values.items():
                writer.add_scalar(name, value, step)

        yield write

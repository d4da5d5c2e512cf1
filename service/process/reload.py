"""Read bundles and keys again, and have every worker serve the same new set."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from heed.model.bundles import FolderReading, read_bundle_folder
from heed.model.errors import BundleError, HeedError
from heed.service.metrics import Family
from heed.service.process.memory import release_memory
from heed.service.process.served_set import ServedSet, StoredBundle, plan_set, refuse
from heed.service.process.worker_process import WorkerProcess
from heed.service.settings import Settings

log = logging.getLogger("heed")

ABSENT_SECONDS = 2.0
"""A bundle is withdrawn if its folder is absent in two readings that are this far apart."""
LOAD_SECONDS = 300.0
"""Time that a worker may take to load new bundles."""
RESULTS = ("loaded", "refused", "withdrawn")


def read_first_set(settings: Settings) -> ServedSet:
    """Return the set to serve from the start.

    Raises:
        HeedError: there is no bundle, one is refused, or the keys cannot be read.
    """
    folder = settings.bundles
    if not os.path.lexists(folder):
        raise BundleError(f"{folder}: no such folder; name a bundle or a folder of bundles")
    reading = read_bundle_folder(folder)
    if reading.refused:
        raise next(iter(reading.refused.values()))
    plan = plan_set(ServedSet(), reading)
    for line in plan.log:
        log.warning("%s", line)
    if not plan.new:
        raise BundleError(
            f"{folder}: contains no bundle; make one with `heed train DATA --out {folder}/NAME`"
        )
    bundles = {path: StoredBundle.store(files) for path, files in plan.new.items()}
    return ServedSet(bundles, plan.defaults, {}, settings.api_key_digests())


class Reloader:
    """Replaces the served set. `served` is what every worker serves."""

    def __init__(
        self,
        settings: Settings,
        workers: Callable[[], Collection[WorkerProcess]],
        read_again: Callable[[], None],
    ) -> None:
        """Read the first set.

        Args:
            settings: name the bundle folder and the file of keys.
            workers: returns the workers that run.
            read_again: called when another reading has to follow.

        Raises:
            HeedError: see `read_first_set`.
        """
        self.served = read_first_set(settings)
        self._settings = settings
        self._workers = workers
        self._read_again = read_again
        self._absent_since: dict[Path, float] = {}
        self._logged: set[str] = set()
        """Lines about the latest reading, which are not repeated for the next one."""
        self._results = dict.fromkeys(RESULTS, 0)

    def metrics(self) -> Family:
        """Return the number of bundles that were loaded, refused and withdrawn."""
        name = "heed_reloads"
        samples = [
            (f"{name}_total", {"result": result}, float(number))
            for result, number in self._results.items()
        ]
        return name, "Bundles read again, by result.", "counter", samples

    async def reload(self) -> None:
        """Read bundles and keys, load what is new in every worker, then serve it.

        No worker may start meanwhile.
        """
        reading, lines = await self._read()
        absent = self._find_absent(reading)
        stored: dict[Path, StoredBundle] = {}
        while True:
            plan = plan_set(self.served, reading, absent)
            new = {f: StoredBundle.store(files) for f, files in plan.new.items() if f not in stored}
            errors = await self._load(list(new.values()))
            stored = {f: bundle for f, bundle in (stored | new).items() if f not in errors}
            if not errors:
                break
            reading = refuse(reading, errors)
            for folder in errors:
                new[folder].close()
        lines += plan.log + [str(error) for error in reading.refused.values()]
        bundles = dict(plan.kept) | {folder: stored[folder] for folder in plan.new}
        self._serve(ServedSet(bundles, plan.defaults, plan.errors, self._read_keys(lines)))
        for bundle in stored.values():
            log.info("loaded %s from %s", bundle.id, bundle.folder)
        for folder in sorted(absent):
            log.warning("%s: is gone, so its bundle is not served any more", folder)
        for line in sorted(set(lines) - self._logged):
            log.error("%s", line)
        self._results["loaded"] += len(stored)
        self._results["refused"] += len({str(e) for e in reading.refused.values()} - self._logged)
        self._results["withdrawn"] += len(absent)
        self._logged = set(lines)
        release_memory()

    def _serve(self, served: ServedSet) -> None:
        old, self.served = self.served, served
        if served != old:
            for worker in self._workers():
                worker.channel.send("serve", served.to_json())
        for folder, bundle in old.bundles.items():
            if served.bundles.get(folder) is not bundle:
                bundle.close()

    async def _read(self) -> tuple[FolderReading, list[str]]:
        """Read the bundle folder; also return lines for the log."""
        root = self._settings.bundles
        try:
            return await asyncio.to_thread(read_bundle_folder, root), []
        except BundleError as error:
            return FolderReading([], {}, []), [str(error)]

    def _find_absent(self, reading: FolderReading) -> set[Path]:
        """Return the folders that have been absent for long enough.

        A folder that exists without a bundle is added to what was refused.
        """
        found = {files.path for files in reading.bundles} | reading.refused.keys()
        now = time.monotonic()
        absent = set()
        for folder in self.served.bundles.keys() - found:
            if _exists(folder):
                reading.refused[folder] = BundleError(f"{folder}: no bundle can be read there")
            else:
                absent.add(folder)
        self._absent_since = {f: self._absent_since.get(f, now) for f in absent}
        gone = {f for f, since in self._absent_since.items() if now - since >= ABSENT_SECONDS}
        if absent - gone:
            asyncio.get_running_loop().call_later(ABSENT_SECONDS + 0.01, self._read_again)
        return gone

    async def _load(self, bundles: Sequence[StoredBundle]) -> dict[Path, BundleError]:
        """Load bundles in every worker. Returns why a worker refused a bundle, by folder."""
        calls = [worker.load(bundles) for worker in self._workers()] if bundles else []
        if not calls:
            return {}
        await asyncio.wait(calls, timeout=LOAD_SECONDS)
        errors: dict[Path, str] = {}
        for call in calls:
            if not call.done():
                failure = f"a worker did not load it within {LOAD_SECONDS:g} s"
            elif call.exception() is not None:
                failure = "a worker ended while it loaded it"
            else:
                errors |= {Path(folder): error for folder, error in call.result().items()}
                continue
            errors |= {b.folder: f"{b.folder}: {failure}; reload again" for b in bundles}
        return {folder: BundleError(error) for folder, error in errors.items()}

    def _read_keys(self, lines: list[str]) -> Mapping[str, str]:
        try:
            return self._settings.api_key_digests()
        except HeedError as error:
            lines.append(f"{error}; the old keys stay valid")
            return self.served.keys


def _exists(folder: Path) -> bool:
    """Return False only if there is certainly nothing."""
    try:
        os.lstat(folder)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass
    return True

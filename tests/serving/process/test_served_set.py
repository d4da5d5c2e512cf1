"""Bundles in memory files, and the choice of what to serve next."""

import shutil
from pathlib import Path

import pytest

from heed.model.bundles import FolderReading, read_bundle_files
from heed.model.errors import BundleError
from heed.service.process.served_set import ServedSet, StoredBundle, plan_set
from tests.support.bundles import write_small_bundle


def test_a_stored_bundle_does_not_depend_on_its_folder(tmp_path: Path) -> None:
    files = read_bundle_files(write_small_bundle(tmp_path / "small"))
    stored = StoredBundle.store(files)
    shutil.rmtree(tmp_path / "small")
    assert stored.read() == files
    stored.close()


def test_a_refused_or_missing_bundle_is_kept_until_it_is_absent(tmp_path: Path) -> None:
    folder = write_small_bundle(tmp_path / "small")
    stored = StoredBundle.store(read_bundle_files(folder))
    served = ServedSet({folder: stored}, {"small": "1.0"})
    refused = plan_set(served, FolderReading([], {folder: BundleError("damaged")}, []))
    assert (refused.kept, refused.new) == ({folder: stored}, {})
    assert refused.errors == {folder: "damaged"}
    missing = plan_set(served, FolderReading([], {}, []))
    assert (missing.kept, missing.errors) == ({folder: stored}, {})
    assert plan_set(served, FolderReading([], {}, []), absent=[folder]).kept == {}
    stored.close()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_only_a_changed_bundle_is_loaded_again(tmp_path: Path, version: str) -> None:
    folder = write_small_bundle(tmp_path / "small")
    stored = StoredBundle.store(read_bundle_files(folder))
    served = ServedSet({folder: stored}, {"small": "1.0"})
    write_small_bundle(folder, force=True, version=version)
    plan = plan_set(served, FolderReading([read_bundle_files(folder)], {}, []))
    assert list(plan.new) == ([] if version == "1.0" else [folder])
    assert list(plan.kept) == ([folder] if version == "1.0" else [])
    assert plan.defaults == {"small": version}
    stored.close()

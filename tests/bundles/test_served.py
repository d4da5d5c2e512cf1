"""Which bundles of a folder are served, and under which names."""

from itertools import permutations
from pathlib import Path

import pytest

from heed.model.bundles.served import Candidate, ModelId, ModelTable, choose_served


def choose(*bundles: tuple[str, str, str]) -> tuple[ModelTable[Path], list[str]]:
    """The choice among bundles, each given as folder, name and version, in every sequence."""
    candidates = [
        Candidate(ModelId(name, version), Path(folder)) for folder, name, version in bundles
    ]
    [first, *others] = [choose_served(some) for some in permutations(candidates)]
    for table, skipped in others:
        assert (table.versions, table.defaults, skipped) == (
            first[0].versions, first[0].defaults, first[1]
        )  # fmt: skip
    return first


def test_versions_of_one_name_are_served_side_by_side() -> None:
    table, skipped = choose(("a", "s", "1.9"), ("b", "s", "1.10"), ("c", "t", "2"))
    assert list(table) == ["s", "t"]
    assert table["s"] == table["s@1.10"] == Path("b")
    assert table["s@1.9"] == Path("a")
    assert [str(id_) for id_ in table.versions] == ["s@1.10", "s@1.9", "t@2"]
    assert not skipped


@pytest.mark.parametrize(
    ("lower", "higher"),
    [
        ("1.0", "1.0.1"),
        ("1.0rc1", "1.0"),
        ("1.0", "1.0.post1"),
        ("2.0", "1!1.0"),
        ("1.0a1", "1.0b1"),
    ],
)
def test_the_default_is_the_highest_version_in_the_order_of_pep_440(
    lower: str, higher: str
) -> None:
    table, _ = choose(("s", "s", lower), ("other", "s", higher))
    assert table.defaults == {"s": higher}


def test_where_a_version_has_another_form_the_folder_of_the_name_is_the_default() -> None:
    assert choose(("s", "s", "1"), ("b", "s", "2"), ("c", "s", "final"))[0]["s"] == Path("s")
    assert choose(("s", "s", "final"), ("b", "s", "2"))[0]["s"] == Path("s")
    assert choose(("a", "s", "final"), ("b", "s", "2"), ("c", "s", "1"))[0]["s"] == Path("b")
    assert choose(("b", "s", "final"), ("a", "s", "draft"))[0]["s"] == Path("a")


def test_of_two_bundles_with_one_version_the_folder_of_the_name_is_served() -> None:
    table, [line] = choose(("backup", "s", "1"), ("s", "s", "1"), ("t", "t", "1"))
    assert table.versions == {ModelId("s", "1"): Path("s"), ModelId("t", "1"): Path("t")}
    assert line.startswith("backup: skipped, because s has the same name and version, 's' '1'")
    assert choose(("b", "s", "1"), ("a", "s", "1"))[0]["s"] == Path("a")


def test_equal_versions_that_are_written_differently_are_both_served() -> None:
    table, skipped = choose(("s", "s", "1.0"), ("b", "s", "1.0.0"))
    assert table["s@1.0"] == Path("s") == table["s"]
    assert table["s@1.0.0"] == Path("b")
    assert not skipped


@pytest.mark.parametrize("key", ["t", "s@2", "@1", "s@1@1", ""])
def test_an_unknown_name_or_version_is_a_key_error(key: str) -> None:
    table, _ = choose(("s", "s", "1"))
    assert key not in table
    with pytest.raises(KeyError):
        table[key]


def test_a_table_can_be_mapped() -> None:
    table, _ = choose(("s", "s", "1"), ("b", "s", "2"))
    assert table.map(str).versions == {ModelId("s", "1"): "s", ModelId("s", "2"): "b"}
    assert table.map(str)["s"] == "b"


def test_nothing_is_chosen_among_nothing() -> None:
    table, skipped = choose_served([])
    assert (len(table), skipped) == (0, [])

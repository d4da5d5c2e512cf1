"""Tables in plain text."""

from heed.model.report.tables import render_table


def test_columns_are_aligned_by_their_width_in_the_terminal() -> None:
    assert render_table([["label", "n"], ["情感", "1"]]) == "label  n\n情感   1"
    assert render_table([["a", "b", "1"], ["long", "c", "200"]], left=2) == (
        "a     b    1\nlong  c  200"
    )


def test_wide_tables_are_not_wrapped_and_cells_are_not_markup() -> None:
    row = ["x" * 300, "[red]y[/red]", "z" * 300]
    assert render_table([row]) == "  ".join(row)


def test_a_label_cannot_control_the_terminal_or_break_its_row() -> None:
    assert render_table([["a\x1b[31m\nb", "1"]]) == "a␛[31m␊b  1"

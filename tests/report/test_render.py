"""The shaded text keeps every character and number, and cannot control page or terminal."""

from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from heed.model.report.render import to_html, to_terminal
from heed.model.report.segments import split_segments

TEXT = "Not <b>dull</b> & “warm” 👍🏽"


def make_answer(**fields: Any) -> dict[str, Any]:
    """An answer to `TEXT` about four of its words."""
    spans = [(0, 3), (7, 11), (19, 23), (25, 27)]
    numbers = [(0.2, 0.5), (0.5, -1.25), (0.25, 1.0), (0.05, 0.01)]
    tokens = [
        {
            "text": TEXT[a:b],
            "start": a,
            "end": b,
            "attention": attention,
            "contribution": contribution,
        }
        for (a, b), (attention, contribution) in zip(spans, numbers, strict=True)
    ]
    return {
        "label": "positive",
        "probabilities": {"positive": 0.875, "negative": 0.125},
        "tokens": tokens,
        "explain_label": "positive",
        "logit": 0.36,
        "bias": 0.1,
        "truncated": False,
    } | fields


def by_attention(**fields: Any) -> dict[str, Any]:
    """The same answer without contributions."""
    answer = make_answer(**fields)
    for name in ("explain_label", "logit", "bias"):
        del answer[name]
    for token in answer["tokens"]:
        del token["contribution"]
    return answer


class Page(HTMLParser):
    """Collects the shaded text of a page, its `<mark>` elements and its tags."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.tags, self.marks = "", set[str](), list[dict[str, str | None]]()
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._inside |= ("class", "text") in attrs
        if tag == "mark":
            self.marks.append(dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        self._inside &= tag != "p"

    def handle_data(self, data: str) -> None:
        self.text += data if self._inside else ""


@given(st.text(), st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5))))
def test_segments_join_to_the_text_and_keep_every_number(
    text: str, spans: list[tuple[int, int]]
) -> None:
    inside = [(min(a, len(text)), min(a + size, len(text))) for a, size in spans]
    tokens = [
        {"start": a, "end": b, "attention": 0.5, "contribution": -1.0} for a, b in inside if a < b
    ]
    segments = split_segments(text, tokens)
    assert "".join(text[segment.start : segment.end] for segment in segments) == text
    assert sum(segment.attention or 0 for segment in segments) == 0.5 * len(tokens)
    assert sum(segment.contribution or 0 for segment in segments) == -1.0 * len(tokens)


def test_spans_that_coincide_become_one_word() -> None:
    tokens = [
        {"start": 2, "end": 3, "attention": 0.25, "contribution": 1.0},
        {"start": 2, "end": 3, "attention": 0.5, "contribution": -3.0},
    ]
    (_, word, _) = split_segments("a ½ b", tokens)
    assert (word.start, word.end, word.attention, word.contribution) == (2, 3, 0.75, -2.0)


def test_html_contains_the_text_and_no_active_content() -> None:
    page = to_html([TEXT, TEXT], [make_answer(), by_attention()], title="A & B")
    read = Page(page)
    assert read.text == TEXT + TEXT
    assert not read.tags & {"b", "script", "link", "img", "iframe"}
    assert "http" not in page
    assert "@import" not in page
    assert "<title>A &amp; B</title>" in page


def test_html_shades_by_contribution_with_its_sign() -> None:
    marks = Page(to_html([TEXT], [make_answer()])).marks
    assert [mark["class"] for mark in marks] == ["for", "against", "for", "for"]
    assert [mark.get("data-sign") for mark in marks] == ["+", "−", "+", None]
    assert [mark["style"] for mark in marks] == [
        "--share:0.400",
        "--share:1.000",
        "--share:0.800",
        "--share:0.008",
    ]
    assert marks[1]["title"] == "attention 0.500, contribution −1.250"


def test_html_shades_by_attention_without_a_sign() -> None:
    marks = Page(to_html([TEXT], [by_attention()])).marks
    assert {mark["class"] for mark in marks} == {"attention"}
    assert marks[0]["style"] == "--share:0.400"
    assert "data-sign" not in marks[0]


def test_a_truncated_end_is_shown_as_not_read() -> None:
    answer = make_answer(truncated=True)
    assert '<span class="truncated"> and the rest</span>' in to_html(
        [TEXT + " and the rest"], [answer]
    )
    assert "not read" in to_html([TEXT], [answer])
    assert "not read" in to_terminal(TEXT, answer).plain


@pytest.mark.parametrize("answer", [make_answer(), by_attention()])
def test_terminal_shows_text_label_and_reasons(answer: dict[str, Any]) -> None:
    plain = to_terminal(TEXT, answer).plain
    assert TEXT in plain
    assert plain.startswith("positive   positive 87.5%  negative 12.5%\n")
    assert ("dull −1.250, warm +1.000" if "logit" in answer else "dull 0.500, warm 0.250") in plain
    assert ("Score +0.360 = bias +0.100 and all words +0.260." in plain) == ("logit" in answer)


def test_terminal_colours_words_by_their_sign() -> None:
    shown = to_terminal(TEXT, make_answer())
    styles = {shown.plain[span.start : span.end]: span.style for span in shown.spans}
    assert str(styles["dull"]) == "underline #101010 on #f5a555"
    assert str(styles["warm"]) == "#101010 on #89bdf5"
    assert "👍🏽" not in styles


def test_a_text_cannot_control_the_terminal() -> None:
    text = "a\x1b[31mred\x07 \u202eturned\x9b2J"
    answer = make_answer(tokens=[{"start": 0, "end": 1, "attention": 1.0, "contribution": 1.0}])
    console = Console(width=200, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(to_terminal(text, answer))
    assert "a␛[31mred␇ \ufffdturned\ufffd2J" in capture.get()


def test_an_answer_without_tokens_and_label() -> None:
    answer = {"label": None, "probabilities": {"a": 0.6, "b": 0.4}, "truncated": False}
    assert to_terminal(TEXT, answer).plain == "not sure   a 60.0%  b 40.0%\n"
    read = Page(to_html([TEXT], [answer]))
    assert (read.text, read.marks) == (TEXT, [])


def test_words_written_right_to_left_keep_their_numbers() -> None:
    text = "dull مرحبا"
    tokens = [
        {"text": text[a:b], "start": a, "end": b, "attention": 0.5, "contribution": contribution}
        for (a, b), contribution in (((0, 4), -1.0), ((5, 9), 0.5), ((9, 10), 0.0001))
    ]
    page = to_html([text], [make_answer(tokens=tokens)])
    assert "</bdi>”: <bdi>dull</bdi> −1.000, <bdi>مرحب</bdi> +0.500. Score" in page

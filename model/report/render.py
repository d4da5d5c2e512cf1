"""Render answers for people: shaded words in the terminal and in an HTML file.

Words are shaded by contribution if the answer has contributions, else by attention. Blue raises the
score and orange lowers it, which is distinct for every kind of colour blindness. The sign is also
written as text.
"""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from rich.style import Style
from rich.text import Text

from heed.model.report.segments import Segment, split_segments

MIN_SHADE = 0.06
"""Words below this share of the greatest weight are not shaded."""
MAX_WORDS = 6
"""Maximum number of words in the summary."""
MIN_WEIGHT = 0.0005
"""The summary leaves out words with a smaller weight, which would be printed as 0.000."""
MAX_LABELS = 5
"""Maximum number of labels whose probability is shown."""

SHADES = {"attention": (63, 191, 155), "for": (110, 175, 245), "against": (245, 165, 85)}  # RGB
WHITE = 245
"""RGB value that the shade fades to for small weights."""
VISIBLE_CONTROLS = {code: 0x2400 + code for code in range(32) if code not in b"\n\t"} | {
    0x7F: 0x2421,
    **dict.fromkeys([*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)], 0xFFFD),
}
"""Replaces control characters that a terminal would execute: escapes and changes of direction."""


def to_terminal(text: str, answer: Mapping[str, Any]) -> Text:
    """Render label, probabilities, the shaded text and a summary of the words, line by line.

    The summary contains the numbers, so the output is complete without colour.
    """
    output = Text()
    output.append(printable(_label(answer)), style="bold")
    output.append("   " + printable(_probabilities(answer)) + "\n")
    if "tokens" not in answer:
        return output
    segments = split_segments(text, answer["tokens"])
    greatest = _greatest_weight(segments)
    for segment in segments:
        style = _style(segment, greatest) if segment.attention is not None else ""
        if segment is segments[-1] and segment.attention is None and answer["truncated"]:
            style = "dim"
        output.append(printable(text[segment.start : segment.end]), style=style)
    output.append(f"\n{printable(_summary(text, segments, answer))}\n", style="dim")
    if answer["truncated"]:
        output.append("The end of the text was not read.\n", style="dim")
    return output


def to_html(texts: Sequence[str], answers: Sequence[Mapping[str, Any]], title: str = "Heed") -> str:
    """Render one self-contained HTML page, without scripts, with an article for each text."""
    articles = [_article(text, answer) for text, answer in zip(texts, answers, strict=True)]
    body = "\n".join([f"<h1>{escape(title)}</h1>", *articles])
    return html_page(title, body, ["shading.css"])


def html_page(title: str, body: str, styles: Sequence[str]) -> str:
    """Fill the page template.

    Args:
        title: plain text.
        body: HTML.
        styles: names of the CSS files to include.
    """
    style = "".join(read_resource(name) for name in styles)
    return Template(read_resource("page_frame.html")).substitute(
        title=escape(title), style=style, body=body
    )


def read_resource(name: str) -> str:
    """Return the content of a template or style sheet of this package."""
    return (files(__package__) / name).read_text("utf-8")


def _article(text: str, answer: Mapping[str, Any]) -> str:
    bars = "".join(
        f'<li style="--share:{share:.4f}"><bdi>{escape(label)}</bdi> <span>{share:.1%}</span></li>'
        for label, share in list(answer["probabilities"].items())[:MAX_LABELS]
    )
    parts = [f"<h2><bdi>{escape(_label(answer))}</bdi></h2>", f"<ul>{bars}</ul>"]
    parts.append(f'<p class="text" dir="auto">{to_html_text(text, answer)}</p>')
    if "tokens" in answer:
        segments = split_segments(text, answer["tokens"])
        parts.append(f"<p>{_summary(text, segments, answer, _isolate)}</p>")
    if answer["truncated"]:
        parts.append("<p>The grey end of the text was not read.</p>")
    return "<article>\n" + "\n".join(parts) + "\n</article>"


def to_html_text(text: str, answer: Mapping[str, Any]) -> str:
    """Render the text as HTML: each word is a `<mark>` with its numbers, for `shading.css`."""
    if "tokens" not in answer:
        return escape(text)
    segments = split_segments(text, answer["tokens"])
    greatest = _greatest_weight(segments)
    truncated = answer["truncated"] and segments[-1].attention is None
    words = "".join(
        _mark(text, segment, greatest) for segment in (segments[:-1] if truncated else segments)
    )
    if truncated:
        words += f'<span class="truncated">{escape(text[segments[-1].start :])}</span>'
    return words


def _mark(text: str, segment: Segment, greatest: float) -> str:
    word = escape(text[segment.start : segment.end])
    if segment.attention is None:
        return word
    share = abs(segment.weight) / greatest if greatest else 0.0
    numbers = f"attention {segment.attention:.3f}"
    sign = ""
    if segment.contribution is not None:
        numbers += f", contribution {_signed(segment.contribution)}"
        if share >= MIN_SHADE:
            sign = f' data-sign="{_signed(segment.contribution)[0]}"'
    style = f"--share:{share:.3f}"
    return f'<mark class="{segment.kind}" style="{style}" title="{numbers}"{sign}>{word}</mark>'


def _style(segment: Segment, greatest: float) -> Style | str:
    share = abs(segment.weight) / greatest if greatest else 0.0
    if share < MIN_SHADE:
        return ""
    red, green, blue = (round(WHITE + (full - WHITE) * share) for full in SHADES[segment.kind])
    # The text colour is fixed too, so that it is readable in dark and light terminals.
    background = f"#{red:02x}{green:02x}{blue:02x}"
    return Style(color="#101010", bgcolor=background, underline=segment.kind == "against" or None)


def _greatest_weight(segments: Sequence[Segment]) -> float:
    return max((abs(segment.weight) for segment in segments), default=0.0)


def _label(answer: Mapping[str, Any]) -> str:
    return "not sure" if answer["label"] is None else str(answer["label"])


def _probabilities(answer: Mapping[str, Any]) -> str:
    shown = list(answer["probabilities"].items())[:MAX_LABELS]
    return "  ".join(f"{label} {share:.1%}" for label, share in shown)


def _summary(
    text: str,
    segments: Sequence[Segment],
    answer: Mapping[str, Any],
    quote: Callable[[str], str] = lambda words: words,
) -> str:
    """Name the words with the greatest weights; `quote` formats what the user wrote."""
    words = [s for s in segments if s.attention is not None and abs(s.weight) >= MIN_WEIGHT]
    greatest = sorted(words, key=lambda word: -abs(word.weight))[:MAX_WORDS]
    write = _signed if "explain_label" in answer else "{:.3f}".format
    listed = ", ".join(
        f"{quote(text[word.start : word.end])} {write(word.weight)}" for word in greatest
    )
    if "explain_label" not in answer:
        return f"Highest attention: {listed}."
    total = answer["logit"] - answer["bias"]
    return (
        f"Largest contributions to “{quote(answer['explain_label'])}”: {listed or 'none'}. "
        f"Score {_signed(answer['logit'])} = bias {_signed(answer['bias'])} "
        f"and all words {_signed(total)}."
    )


def _isolate(words: str) -> str:
    """Escape words for HTML, with a text direction of their own that leaves numbers in order."""
    return f"<bdi>{escape(words)}</bdi>"


def _signed(value: float) -> str:
    """Format a number with its sign; the minus sign is as wide as the plus sign."""
    return f"{value:+.3f}".replace("-", "−")


def printable(text: str) -> str:
    """Replace control characters, so that a text cannot control the terminal."""
    return text.translate(VISIBLE_CONTROLS)

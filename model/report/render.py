"""The reasons of an answer to look at: shaded words in the terminal and in an HTML file.

Both take a text and its answer, as `model.answer` makes it. Words are shaded by contribution where
the answer has contributions, else by attention. Blue raised the score, orange lowered it: these
stay apart for every kind of colour blindness, and the sign stands in text as well.
"""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from rich.style import Style
from rich.text import Text

from heed.model.report.segments import Segment, split_segments

FAINT = 0.06
"""Of the strongest word's shade; words below it stay as they are."""
STRONGEST = 6
"""Words that are named with their numbers."""
MAX_LABELS = 5
"""Labels whose probability is shown."""

_SHADES = {"looked": (63, 191, 155), "for": (110, 175, 245), "against": (245, 165, 85)}  # RGB
_WHITE = 245
_OBEYED = {code: 0x2400 + code for code in range(32) if code not in b"\n\t"} | {
    0x7F: 0x2421,
    **dict.fromkeys([*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)], 0xFFFD),
}
"""What a terminal would obey (escapes, changes of direction), and what is shown instead."""


def to_terminal(text: str, answer: Mapping[str, Any]) -> Text:
    """Label, probabilities, the shaded text and its strongest words, each on lines of their own.

    Without colour the strongest words and their numbers still tell the reasons.
    """
    shown = Text()
    shown.append(_printable(_verdict(answer)), style="bold")
    shown.append("   " + _printable(_probabilities(answer)) + "\n")
    if "tokens" not in answer:
        return shown
    cut = split_segments(text, answer["tokens"])
    most = _strongest_weight(cut)
    for piece in cut:
        style = _style(piece, most) if piece.attention is not None else ""
        if piece is cut[-1] and piece.attention is None and answer["truncated"]:
            style = "dim"
        shown.append(_printable(text[piece.start : piece.end]), style=style)
    shown.append(f"\n{_printable(_reasons(text, cut, answer))}\n", style="dim")
    if answer["truncated"]:
        shown.append("The end of the text was not read.\n", style="dim")
    return shown


def to_html(texts: Sequence[str], answers: Sequence[Mapping[str, Any]], title: str = "Heed") -> str:
    """One self-contained page with an article for each text: no script, nothing from elsewhere."""
    head = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>",
        f"<style>\n{files(__package__).joinpath('shading.css').read_text('utf-8')}</style>",
        f"</head>\n<body>\n<main>\n<h1>{escape(title)}</h1>",
    ]
    body = [_article(text, answer) for text, answer in zip(texts, answers, strict=True)]
    return "\n".join([*head, *body, "</main>\n</body>\n</html>\n"])


def _article(text: str, answer: Mapping[str, Any]) -> str:
    bars = "".join(
        f'<li style="--share:{share:.4f}"><bdi>{escape(label)}</bdi> <span>{share:.1%}</span></li>'
        for label, share in list(answer["probabilities"].items())[:MAX_LABELS]
    )
    parts = [f"<h2><bdi>{escape(_verdict(answer))}</bdi></h2>", f"<ul>{bars}</ul>"]
    parts.append(f'<p class="text" dir="auto">{to_html_text(text, answer)}</p>')
    if "tokens" in answer:
        cut = split_segments(text, answer["tokens"])
        parts.append(f"<p>{_reasons(text, cut, answer, _isolated)}</p>")
    if answer["truncated"]:
        parts.append("<p>The grey end of the text was not read.</p>")
    return "<article>\n" + "\n".join(parts) + "\n</article>"


def to_html_text(text: str, answer: Mapping[str, Any]) -> str:
    """The text as HTML, each word a `<mark>` with its numbers; `shading.css` colours them."""
    if "tokens" not in answer:
        return escape(text)
    cut = split_segments(text, answer["tokens"])
    most = _strongest_weight(cut)
    unread = answer["truncated"] and cut[-1].attention is None
    words = "".join(_mark(text, piece, most) for piece in (cut[:-1] if unread else cut))
    if unread:
        words += f'<span class="unread">{escape(text[cut[-1].start :])}</span>'
    return words


def _mark(text: str, piece: Segment, most: float) -> str:
    word = escape(text[piece.start : piece.end])
    if piece.attention is None:
        return word
    share = abs(piece.weight) / most if most else 0.0
    numbers = f"attention {piece.attention:.3f}"
    sign = ""
    if piece.contribution is not None:
        numbers += f", contribution {_signed(piece.contribution)}"
        if share >= FAINT:
            sign = f' data-sign="{_signed(piece.contribution)[0]}"'
    style = f"--share:{share:.3f}"
    return f'<mark class="{piece.kind}" style="{style}" title="{numbers}"{sign}>{word}</mark>'


def _style(piece: Segment, most: float) -> Style | str:
    share = abs(piece.weight) / most if most else 0.0
    if share < FAINT:
        return ""
    red, green, blue = (round(_WHITE + (full - _WHITE) * share) for full in _SHADES[piece.kind])
    # Ink of its own, so that it can be read on a dark terminal and on a light one.
    background = f"#{red:02x}{green:02x}{blue:02x}"
    return Style(color="#101010", bgcolor=background, underline=piece.kind == "against" or None)


def _strongest_weight(cut: Sequence[Segment]) -> float:
    return max((abs(piece.weight) for piece in cut), default=0.0)


def _verdict(answer: Mapping[str, Any]) -> str:
    return "not sure" if answer["label"] is None else str(answer["label"])


def _probabilities(answer: Mapping[str, Any]) -> str:
    shown = list(answer["probabilities"].items())[:MAX_LABELS]
    return "  ".join(f"{label} {share:.1%}" for label, share in shown)


def _reasons(
    text: str,
    cut: Sequence[Segment],
    answer: Mapping[str, Any],
    quote: Callable[[str], str] = lambda words: words,
) -> str:
    """The strongest words with their numbers; `quote` writes what is the person's own."""
    words = [piece for piece in cut if piece.attention is not None and abs(piece.weight) >= 0.0005]
    strongest = sorted(words, key=lambda piece: -abs(piece.weight))[:STRONGEST]
    write = _signed if "explain_label" in answer else "{:.3f}".format
    named = ", ".join(
        f"{quote(text[word.start : word.end])} {write(word.weight)}" for word in strongest
    )
    if "explain_label" not in answer:
        return f"Looked at most: {named}."
    total = answer["logit"] - answer["bias"]
    return (
        f"The score of “{quote(answer['explain_label'])}” was moved most by: {named or 'nothing'}. "
        f"Score {_signed(answer['logit'])} = bias {_signed(answer['bias'])} "
        f"and all words {_signed(total)}."
    )


def _isolated(words: str) -> str:
    """In HTML, whichever way they run, numbers beside them stay where they are."""
    return f"<bdi>{escape(words)}</bdi>"


def _signed(value: float) -> str:
    """A number with its sign, the minus as long as the plus."""
    return f"{value:+.3f}".replace("-", "−")


def _printable(text: str) -> str:
    return text.translate(_OBEYED)

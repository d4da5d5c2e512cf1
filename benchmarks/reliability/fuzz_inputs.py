"""Random inputs for `fuzz.py`: each function makes one input from a `random.Random`."""

import json
from collections.abc import Sequence
from random import Random
from typing import Any

ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyz",
    "ABC xyz 0123456789 .,;:!?'\"()-",
    " \t\n\r\v\f\x00\x1b\x7f\x85\xa0\xad\u2028\u2029\u3000\ufeff",
    "\u200b\u200c\u200d\u200e\u202e\u2060\ufe0f",
    "äöüßéèçñåøœæŁİıſ",
    "\u0300\u0301\u0308\u0327\u05b0\u064b\u0e31\u1ab0\u20d0",
    "абвгдежзиклмн",
    "אבגדה العربية",
    "中文字符测试好坏电影",
    "ひらがなカタカナﾊﾝｶｸ゛",
    "각한글\u1100\u1161\u11a8",
    "ﬀﬃ㍿㎡ﷺ½⅒①Ⅷ™",
    "😀👩\u200d👩\u200d👧👍🏽🇩🇪",
    "\ue000\ufffd\ufffe\U0001f600\U00020000\U000e0041\U0010ffff",
    "[PAD][UNK]▁Ġ##<s></s>",
)
WORDS = ("good", "film", "bad", "not", "very", "what", "flight", "bank", "translate", "电影")
FIELDS = (
    "text",
    "texts",
    "model",
    "explain",
    "explain_label",
    "unit",
    "truncate",
    "top_k",
    "min_confidence",
    "on_error",
    "unknown",
)
VALUES: tuple[Any, ...] = (
    "sentiment",
    "intents",
    "sentiment-zh",
    "sentiment@1",
    "none",
    "attention",
    "contributions",
    "token",
    "word",
    "report",
    "negative",
    "",
    " ",
    "a",
    None,
    True,
    False,
    0,
    1,
    2,
    -1,
    0.5,
    1.5,
    1e308,
    10**30,
    [],
    {},
    [[]],
    [None],
)
VALID: dict[str, Sequence[Any]] = {
    "model": ("sentiment", "intents", "sentiment-zh"),
    "explain": ("none", "attention", "contributions"),
    "explain_label": ("positive", "negative"),
    "unit": ("token", "word"),
    "truncate": (True, False),
    "top_k": (1, 2, 1000),
    "min_confidence": (0, 0.5, 1),
}
FRAGMENTS = (
    b"{",
    b"}",
    b"[" * 200,
    b"]",
    b'"',
    b",",
    b":",
    b"\\u0000",
    b"\\ud800",
    b"\\",
    b"1e999",
    b"-0",
    b"NaN",
    b"Infinity",
    b"null",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\x00",
    b"9" * 400,
    b'"text":"a",',
)
METHODS = (b"GET", b"POST", b"HEAD", b"PUT", b"OPTIONS", b"DELETE", b"CONNECT", b"PRI", b"FOO")
PATHS = (
    b"/classify",
    b"/classify/batch",
    b"/models",
    b"/models/sentiment",
    b"/healthz",
    b"/readyz",
    b"/metrics",
    b"/",
    b"/docs",
    b"/openapi.json",
    b"/nowhere",
    b"/%00",
    b"/../..",
    b"//",
    b"*",
    b"http://localhost/models",
    b"/models/" + b"a" * 3000,
    b"/models/%ff?x=%zz#y",
)
HEADERS = (
    b"host: localhost",
    b"host: ",
    b"content-type: application/json",
    b"content-type: application/json; charset=latin-1",
    b"content-type: text/plain",
    b"content-length: 0",
    b"content-length: 15",
    b"content-length: -1",
    b"content-length: 99999999999999999999",
    b"content-length: 1, 1",
    b"transfer-encoding: chunked",
    b"transfer-encoding: chunked, identity",
    b"transfer-encoding: gzip",
    b"connection: close",
    b"connection: keep-alive, upgrade",
    b"upgrade: h2c",
    b"upgrade: websocket",
    b"expect: 100-continue",
    b"expect: nothing",
    b"accept: application/openmetrics-text",
    b"accept: */*;q=x",
    b"accept-encoding: gzip",
    b"content-encoding: gzip",
    b"authorization: Bearer x",
    b"authorization: \xff",
    b"range: bytes=0-1",
    b"if-none-match: *",
    b"x-request-id: " + b"a" * 200,
    b"x-forwarded-for: 1.2.3.4, ::1",
    b"traceparent: 00-0-0-0",
    b"origin: http://localhost",
    b" folded: line",
    b": no name",
    b"no colon",
    b"x-large: " + b"v" * 5000,
)
BODIES = (
    b"",
    b'{"text": "good"}',
    b"5\r\nhello\r\n0\r\n\r\n",
    b"fffffffff\r\n",
    b"0\r\n\r\n",
    b"\x00" * 20,
)


def _make_corpus() -> str:
    """Runs of one script each, of words and of spaces; texts are slices of it."""
    choice = Random(0)
    runs = []
    for _ in range(100_000):
        if choice.random() < 0.4:
            runs.append(choice.choice(WORDS))
        else:
            runs += choice.choices(choice.choice(ALPHABETS), k=choice.randrange(1, 8))
        if choice.random() < 0.5:
            runs.append(" ")
    return "".join(runs)


CORPUS = _make_corpus()


def make_text(choice: Random) -> str:
    """A text of several scripts; one in 500 has thousands of characters."""
    start, second = int(choice.random() * len(CORPUS)), int(choice.random() * len(CORPUS))
    size = int(choice.random() * 60)
    text = CORPUS[start : start + 1 + size] + CORPUS[second : second + size // 2]
    if choice.random() < 0.002:
        text *= choice.randrange(1, 400)
    return text


def _value(choice: Random, depth: int = 0) -> Any:
    kind = choice.random()
    if kind < 0.5 or depth > 3:
        return choice.choice(VALUES)
    if kind < 0.8:
        return make_text(choice)
    if kind < 0.9:
        return [_value(choice, depth + 1) for _ in range(choice.randrange(4))]
    return {choice.choice(FIELDS): _value(choice, depth + 1) for _ in range(choice.randrange(4))}


def _expected(choice: Random, field: str) -> Any:
    """A value that is usually valid for a field."""
    if field == "texts":
        return [make_text(choice) for _ in range(choice.randrange(1, 4))]
    return make_text(choice) if field == "text" else choice.choice(VALID.get(field, VALUES))


def make_body(choice: Random) -> tuple[str, bytes]:
    """A path and a request body: valid, of wrong types, or damaged."""
    path, field = choice.choice((("/classify", "text"), ("/classify/batch", "texts")))
    tree: dict[str, Any] = {field: _expected(choice, field)}
    for name in choice.sample(FIELDS, choice.randrange(5)):
        tree[name] = _expected(choice, name) if choice.random() < 0.8 else _value(choice)
    body = json.dumps(tree, ensure_ascii=choice.random() < 0.5).encode(errors="surrogatepass")
    return path, damage(choice, body) if choice.random() < 0.4 else body


def damage(choice: Random, data: bytes) -> bytes:
    """Change a few bytes, or remove, repeat or insert some."""
    changed = bytearray(data)
    for _ in range(choice.randrange(1, 4)):
        if not changed:
            break
        start = choice.randrange(len(changed))
        end = start + choice.randrange(1, 12)
        kind = choice.randrange(5)
        if kind == 0:
            changed[start] ^= 1 << choice.randrange(8)
        elif kind == 1:
            del changed[start:end]
        elif kind == 2:
            changed[start:start] = changed[start:end]
        elif kind == 3:
            changed[start:start] = choice.choice(FRAGMENTS)
        else:
            del changed[start:]
    return bytes(changed)


def make_head(choice: Random) -> bytes:
    """The bytes of a request whose head is often invalid."""
    line = b" ".join(
        (
            choice.choice(METHODS),
            choice.choice(PATHS),
            choice.choice(
                (b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"")
            ),
        )
    )
    lines = [line, *choice.choices(HEADERS, k=choice.randrange(7))]
    end = choice.choice((b"\r\n", b"\r\n", b"\r\n", b"\n"))
    message = end.join([*lines, b"", b""]) + choice.choice(BODIES)
    if choice.random() < 0.5:
        message = damage(choice, message)
    return message * choice.choice((1, 1, 1, 1, 2, 3))


def make_config(choice: Random, config: dict[str, Any]) -> dict[str, Any]:
    """A config with one or two values changed, removed, added or nested."""
    changed: dict[str, Any] = json.loads(json.dumps(config))
    for _ in range(choice.randrange(1, 3)):
        name = choice.choice([*config, "unknown"])
        kind = choice.randrange(6)
        if kind == 0:
            changed.pop(name, None)
        elif kind == 1 and isinstance(changed.get(name), list):
            choice.shuffle(changed[name])
        elif kind == 2:
            changed[name] = _nested(choice.choice((5, 100, 300, 900, 3000)), choice)
        elif kind == 3:
            # A value that a lax reader would convert.
            value = changed.get(name)
            changed[name] = choice.choice((str(value), value == 1, [value], 1, 1.0, "1", True))
        else:
            changed[name] = _value(choice)
    return changed


def _nested(depth: int, choice: Random) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value] if choice.random() < 0.5 else {"a": value}
    return value

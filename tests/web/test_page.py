"""The page in Chromium shows the answer of the API."""

import json
import subprocess
import sys
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.chromium import expect_shown, numbers, open_page, watched_page, words
from tests.support.server import Server

pytestmark = pytest.mark.browser

TEXT = "The room was dreadful, but what a gripping plot!"
TEXTS = {
    "English": TEXT,
    "Chinese": "这家酒店非常好，书的内容太无聊。",
    "Arabic": "فيلم جميل ورائع 😀 film",
    "beyond 16 bits": "👩‍👩‍👧 warm 𝒻ilm, é e\u0301 👎🏽 cold",
    "white space": "  The\n\n\tplot   is\u00a0\u3000dull \n",
    "markup": "<script>window.run = 1</script> dull <img src=x onerror='window.run = 1'> &amp;",
}
SPECIAL = 'it\'s "$HOME" `id` \\n 100% !! \n 👍🏽 \u2028 dull'


def classify(server: Server, text: str, **options: Any) -> dict[str, Any]:
    """Return the API's answer to the request of the page."""
    request = {"text": text, "explain": "contributions", "unit": "word"} | options
    answer = server.post(request)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


def other_label(answer: dict[str, Any]) -> str:
    labels: list[str] = list(answer["probabilities"])
    return next(label for label in labels if label != answer["label"])


def test_typing_shows_label_and_probabilities(page: Page, server: Server) -> None:
    open_page(page)
    page.locator("#text").fill("")
    expect(page.locator("#label")).to_have_text("")
    page.locator("#text").press_sequentially(TEXT, delay=10)
    expect_shown(page, TEXT)
    answer = classify(server, TEXT)
    expect(page.locator("#label")).to_have_text(answer["label"])
    for label, share in answer["probabilities"].items():
        bar = page.locator(f".bar[data-label={label}]")
        assert float(bar.get_attribute("data-probability") or "") == share
        expect(bar).to_contain_text(f"{share:.1%}".replace("%", " %"))
    expect(page.locator("#announcement")).to_contain_text(answer["label"])


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_words_and_numbers_equal_the_answer_of_the_api(
    page: Page, server: Server, text: str
) -> None:
    open_page(page, text=text)
    answer = classify(server, text)
    assert numbers(page) == answer["tokens"]
    assert page.evaluate("window.run") is None


def test_colours_follow_the_attention(page: Page, server: Server) -> None:
    open_page(page, text=TEXT)
    weights = [token["attention"] for token in classify(server, TEXT)["tokens"]]
    shades = words(page).evaluate_all(
        "spans => spans.map(span => +getComputedStyle(span).getPropertyValue('--attention'))"
    )
    assert shades == pytest.approx([weight / max(weights) for weight in weights], abs=6e-4)
    colours = words(page).evaluate_all(
        "spans => spans.map(span => getComputedStyle(span).backgroundColor)"
    )
    order = sorted(range(len(weights)), key=weights.__getitem__)
    assert colours[order[0]] != colours[order[-1]]


def test_change_to_contributions_sends_no_request_and_shows_signs(
    page: Page, server: Server
) -> None:
    open_page(page, text=TEXT)
    requested = list[str]()
    page.on("request", lambda request: requested.append(request.url))
    page.get_by_text("Contributions", exact=True).click()
    expect(page.locator("#explanation")).to_have_attribute("data-view", "contributions")
    expect(page.locator("#equation")).to_contain_text("bias")
    assert not [url for url in requested if "/classify" in url]
    tokens = classify(server, TEXT)["tokens"]
    signs, classes = (
        words(page).evaluate_all(f"spans => spans.map(span => {expression})")
        for expression in ("getComputedStyle(span, '::before').content", "span.className")
    )
    most = max(abs(token["contribution"]) for token in tokens)
    for token, sign, names in zip(tokens, signs, classes, strict=True):
        assert names == ("word for" if token["contribution"] >= 0 else "word against")
        if abs(token["contribution"]) > most / 10:
            assert sign == ('"+"' if token["contribution"] > 0 else '"−"')


def test_click_on_a_label_shows_its_contributions(page: Page, server: Server) -> None:
    open_page(page, text=TEXT)
    label = other_label(classify(server, TEXT))
    bar = page.locator(f".bar[data-label={label}]")
    bar.click()
    expect(bar).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#meaning")).to_contain_text(f"“{label}”")
    assert numbers(page) == classify(server, TEXT, explain_label=label)["tokens"]
    page.locator("#explain-best").click()
    expect(page.locator("#meaning")).to_contain_text(f"“{classify(server, TEXT)['label']}”")
    expect(page.locator("#explain-best")).to_be_hidden()


def test_pointer_and_keyboard_show_the_numbers_of_a_word(page: Page, server: Server) -> None:
    open_page(page, text=TEXT)
    tokens = classify(server, TEXT)["tokens"]
    readout = page.locator("#readout")
    words(page).nth(2).hover()
    expect(readout).to_contain_text(f"attention {tokens[2]['attention']:.3f}")
    assert page.locator("#words [tabindex='0']").count() == 1
    page.locator("#words [tabindex='0']").focus()
    page.keyboard.press("ArrowRight")
    expect(words(page).nth(1)).to_be_focused()
    expect(readout).to_contain_text(f"word 2 of {len(tokens)}")
    page.keyboard.press("End")
    expect(words(page).last).to_be_focused()
    with page.expect_response("**/classify"):  # a new answer keeps the focus
        page.locator("#text").evaluate("field => field.dispatchEvent(new Event('input'))")
    expect(words(page).last).to_be_focused()
    assert page.locator("#words [tabindex='0']").count() == 1


def test_arrow_keys_follow_the_direction_of_the_text(page: Page) -> None:
    open_page(page, text=TEXTS["Arabic"])
    words(page).first.focus()
    page.keyboard.press("ArrowLeft")
    expect(words(page).nth(1)).to_be_focused()


def test_first_letter_decides_the_direction_of_the_text(page: Page) -> None:
    open_page(page)
    for text, direction in (
        (TEXTS["Arabic"], "rtl"),
        ("1, a film", "ltr"),
        ("12 שלום", "rtl"),
        ("", "ltr"),
    ):
        page.locator("#text").fill(text)
        expect(page.locator("#text")).to_have_attribute("dir", direction)


def test_truncated_end_is_marked_and_explained(page: Page, server: Server) -> None:
    limit = server.get("/models").json()["models"][0]["max_tokens"]
    text = "the dull film " * limit
    open_page(page, text=text)
    read = classify(server, text)["tokens"][-1]["end"]
    assert page.locator(".truncated").evaluate("span => span.textContent") == text[read:]
    expect(page.locator("#truncation-note")).to_contain_text(f"{limit} tokens")


def test_link_restores_the_state(browser: Browser, page: Page, server: Server) -> None:
    open_page(page)
    text = TEXTS["beyond 16 bits"] + " & 100% #1 + a=b"
    page.locator("#text").fill(text)
    expect_shown(page, text)
    label = other_label(classify(server, text))
    page.locator(f".bar[data-label={label}]").click()
    expect(page.locator("#meaning")).to_contain_text(label)
    with watched_page(browser, server.url) as other:
        other.goto(page.url)
        expect_shown(other, text)
        expect(other.locator("#text")).to_have_value(text)
        expect(other.locator("#meaning")).to_contain_text(f"“{label}”")
        expect(other.get_by_label("Contributions", exact=True)).to_be_checked()


@pytest.mark.parametrize("text", [TEXT, SPECIAL], ids=["plain", "special"])
def test_shown_requests_return_the_same_answer(page: Page, server: Server, text: str) -> None:
    open_page(page, text=text)
    expected = classify(server, text)
    curl, python = (page.locator(id_).inner_text() for id_ in ("#curl", "#python"))
    by_curl = subprocess.run(["sh", "-c", curl], capture_output=True, check=True, timeout=30)
    assert json.loads(by_curl.stdout) == expected
    command = [
        sys.executable,
        "-X",
        "utf8",
        "-c",
        python.replace("print(", "print(json.dumps(") + ")",
    ]
    by_python = subprocess.run(command, capture_output=True, check=True, timeout=30)
    assert json.loads(by_python.stdout) == expected


def test_link_and_requests_can_be_copied(page: Page) -> None:
    open_page(page, text=TEXT)
    for button, expected in [
        ("#copy-curl", page.locator("#curl").inner_text()),
        ("#copy-python", page.locator("#python").inner_text()),
        ("#copy-link", page.url),
    ]:
        page.locator(button).click()
        expect(page.locator(button)).to_have_text("Copied")
        assert page.evaluate("navigator.clipboard.readText()") == expected


def test_click_on_an_example_classifies_it(page: Page) -> None:
    open_page(page)
    example = page.locator("#examples button").last
    text = example.inner_text()
    example.click()
    expect_shown(page, text)
    expect(page.locator("#text")).to_have_value(text)


def test_words_with_equal_offsets_are_merged(page: Page) -> None:
    open_page(page)
    cut = page.evaluate(
        """async () => (await import("/static/segments.js")).segment("😀½ b", [
            {start: 1, end: 2, attention: 0.25, contribution: 1},
            {start: 1, end: 2, attention: 0.5, contribution: -3},
            {start: 3, end: 4, attention: 0.25, contribution: 1},
        ], false)"""
    )
    assert [segment["text"] for segment in cut] == ["😀", "½", " ", "b"]
    assert (cut[1]["attention"], cut[1]["contribution"]) == (0.75, -2)


def test_chosen_theme_is_kept_after_a_reload(page: Page) -> None:
    open_page(page)
    button = page.locator("#theme")
    button.click()
    button.click()
    expect(button).to_have_text("Theme: dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")

"""The page when something is wrong: each problem is a sentence, and it goes on by itself."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.support.chromium import expect_read, open_page, watched_page, words
from tests.support.server import Server, serve

pytestmark = pytest.mark.browser

TEXT = "What a gripping film!"
SENTENCE = re.compile(r"^[A-Z].*\.$")


def test_a_blank_text_is_refused_in_a_sentence(page: Page) -> None:
    open_page(page)
    page.locator("#text").fill("  \n ")
    expect(page.locator("#problem")).to_have_text(SENTENCE)
    expect(page.locator("#reading")).to_be_hidden()
    page.locator("#text").fill(TEXT)
    expect_read(page, TEXT)
    expect(page.locator("#problem")).to_be_empty()


def test_a_text_too_large_is_refused_in_a_sentence(browser: Browser, trained: Path) -> None:
    with serve(trained, "--max-body", "1KiB") as small, watched_page(browser, small.url) as page:
        open_page(page)
        page.locator("#text").fill("dull " * 300)
        expect(page.locator("#problem")).to_have_text(re.compile(r"^The body .*1024 bytes.*\.$"))


def test_a_megabyte_is_read_without_a_freeze(page: Page) -> None:
    open_page(page)
    text = "good film " * 100_000
    frame = """text => new Promise(done => {
        const field = document.getElementById("text");
        const begun = performance.now();
        field.value = text;
        field.dispatchEvent(new Event("input"));
        requestAnimationFrame(() => setTimeout(() => done(performance.now() - begun)));
    })"""
    assert page.evaluate(frame, text) < 5000
    expect(page.locator(".unread")).to_contain_text("more characters)")


def test_a_server_that_is_down_is_said_and_asked_again(browser: Browser, trained: Path) -> None:
    with serve(trained) as server, watched_page(browser, server.url) as page:
        open_page(page)
        server.stop()
        page.locator("#text").fill(TEXT)
        expect(page.locator("#problem")).to_have_text(re.compile("The server does not answer"))
        expect(page.locator("#label")).to_be_empty()
        with serve(trained, "--port", server.port):
            page.locator("#text").press_sequentially("!")
            expect_read(page, TEXT + "!")
            expect(page.locator("#problem")).to_be_empty()


def test_a_server_that_is_busy_is_asked_again_without_typing(page: Page) -> None:
    open_page(page)
    problem = {"title": "Queue full", "status": 429, "detail": "the queue is full; ask again"}

    def refuse(route: Route) -> None:
        route.fulfill(
            status=429,
            headers={"Retry-After": "1", "Content-Type": "application/problem+json"},
            body=json.dumps(problem),
        )

    page.route("**/classify", refuse, times=1)
    page.locator("#text").fill(TEXT)
    expect(page.locator("#problem")).to_have_text("The queue is full; ask again.")
    expect_read(page, TEXT)


def test_a_stale_answer_is_dropped(page: Page) -> None:
    open_page(page)
    held = list[Route]()
    page.route("**/classify", lambda route: held.append(route), times=1)  # never answered
    page.locator("#text").fill("dreadful")
    with page.expect_event("requestfailed", lambda request: request.method == "POST"):
        page.wait_for_timeout(500)
        page.locator("#text").fill(TEXT)
    expect_read(page, TEXT)
    assert len(held) == 1


def test_a_key_is_asked_for_and_kept_out_of_the_link(
    browser: Browser, trained: Path, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text("secret-key\n")
    with (
        serve(trained, "--api-keys-file", keys) as guarded,
        watched_page(browser, guarded.url) as page,
    ):
        page.goto("/")
        expect(page.locator("#problem")).to_have_text(SENTENCE)
        page.get_by_label("API key").fill("wrong")
        page.get_by_role("button", name="Use this key").click()
        expect(page.locator("#problem")).to_have_text(SENTENCE)
        page.get_by_label("API key").fill("secret-key")
        page.get_by_label("API key").press("Enter")
        expect(words(page).first).to_be_visible()
        expect(page.locator("#key-form")).to_be_hidden()
        assert "secret" not in page.url
        assert "secret" not in page.locator("#call").inner_text()
        assert "$HEED_KEY" in page.locator("#curl").inner_text()
        assert page.evaluate("localStorage.length") == 0
        page.reload()
        expect(words(page).first).to_be_visible()
        assert "$HEED_KEY" in page.locator("#curl").inner_text()


def test_no_label_is_shown_as_not_sure(page: Page, server: Server) -> None:
    answer = server.post({"text": TEXT, "explain": "contributions", "unit": "word"}).json()
    page.route("**/classify", lambda route: route.fulfill(json=answer | {"label": None}))
    open_page(page, text=TEXT)
    expect(page.locator("#label")).to_have_text("not sure")
    expect(page.locator("#label-note")).to_contain_text(answer["label"])


def test_many_labels_are_shown_on_request(page: Page, server: Server) -> None:
    answer = server.post({"text": TEXT, "explain": "contributions", "unit": "word"}).json()
    shares = {f"intent_{place}": 2.0**-place for place in range(1, 41)}
    answer |= {"label": "intent_1", "probabilities": shares, "explain_label": "intent_1"}
    page.route("**/classify", lambda route: route.fulfill(json=answer))
    open_page(page, text=TEXT)
    expect(page.locator(".bar")).to_have_count(5)
    page.get_by_role("button", name="All 40 labels").click()
    expect(page.locator(".bar")).to_have_count(40)


def test_the_text_is_sent_to_no_address(page: Page) -> None:
    """Only in bodies: addresses end in logs."""
    addresses = list[str]()
    page.on("request", lambda request: addresses.append(request.url.partition("#")[0]))
    open_page(page, text="dreadful secret")
    assert addresses
    assert not [address for address in addresses if "secret" in address]

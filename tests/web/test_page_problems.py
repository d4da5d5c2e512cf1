"""Errors on the page: each is shown as a sentence, and the page recovers without a reload."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.support.chromium import expect_shown, open_page, watched_page, words
from tests.support.server import Server, serve

pytestmark = pytest.mark.browser

TEXT = "What a gripping film!"
SENTENCE = re.compile(r"^[A-Z].*\.$")


def test_blank_text_shows_an_error_sentence(page: Page) -> None:
    open_page(page)
    page.locator("#text").fill("  \n ")
    expect(page.locator("#problem")).to_have_text(SENTENCE)
    expect(page.locator("#explanation")).to_be_hidden()
    page.locator("#text").fill(TEXT)
    expect_shown(page, TEXT)
    expect(page.locator("#problem")).to_be_empty()


def test_too_large_text_shows_an_error_sentence(browser: Browser, trained: Path) -> None:
    with serve(trained, "--max-body", "1KiB") as small, watched_page(browser, small.url) as page:
        open_page(page)
        page.locator("#text").fill("dull " * 300)
        expect(page.locator("#problem")).to_have_text(re.compile(r"^The body .*1024 bytes.*\.$"))


def test_page_stays_responsive_with_a_megabyte_of_text(page: Page) -> None:
    open_page(page)
    text = "good film " * 100_000
    frame = """text => new Promise(done => {
        const field = document.getElementById("text");
        const start = performance.now();
        field.value = text;
        field.dispatchEvent(new Event("input"));
        requestAnimationFrame(() => setTimeout(() => done(performance.now() - start)));
    })"""
    assert page.evaluate(frame, text) < 5000
    expect(page.locator(".truncated")).to_contain_text("more characters)")


def test_page_tries_again_after_the_server_was_down(browser: Browser, trained: Path) -> None:
    with serve(trained) as server, watched_page(browser, server.url) as page:
        open_page(page)
        server.stop()
        page.locator("#text").fill(TEXT)
        expect(page.locator("#problem")).to_have_text(re.compile("The server does not answer"))
        expect(page.locator("#label")).to_be_empty()
        with serve(trained, "--port", server.port):
            page.locator("#text").press_sequentially("!")
            expect_shown(page, TEXT + "!")
            expect(page.locator("#problem")).to_be_empty()


def test_page_tries_again_after_a_full_queue(page: Page) -> None:
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
    expect_shown(page, TEXT)


def test_outdated_request_is_aborted(page: Page) -> None:
    open_page(page)
    held = list[Route]()
    page.route("**/classify", lambda route: held.append(route), times=1)  # never answered
    page.locator("#text").fill("dreadful")
    with page.expect_event("requestfailed", lambda request: request.method == "POST"):
        page.wait_for_timeout(500)
        page.locator("#text").fill(TEXT)
    expect_shown(page, TEXT)
    assert len(held) == 1


def test_api_key_is_requested_and_never_part_of_the_link(
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
        assert "secret" not in page.locator("#request").inner_text()
        assert "$HEED_KEY" in page.locator("#curl").inner_text()
        assert page.evaluate("localStorage.length") == 0
        page.reload()
        expect(words(page).first).to_be_visible()
        assert "$HEED_KEY" in page.locator("#curl").inner_text()


def test_withheld_label_is_shown_with_the_most_probable_one(page: Page, server: Server) -> None:
    answer = server.post({"text": TEXT, "explain": "contributions", "unit": "word"}).json()
    page.route("**/classify", lambda route: route.fulfill(json=answer | {"label": None}))
    open_page(page, text=TEXT)
    expect(page.locator("#label")).to_have_text("no label")
    expect(page.locator("#label-note")).to_contain_text(answer["label"])


def test_button_shows_all_of_many_labels(page: Page, server: Server) -> None:
    answer = server.post({"text": TEXT, "explain": "contributions", "unit": "word"}).json()
    shares = {f"intent_{number}": 2.0**-number for number in range(1, 41)}
    answer |= {"label": "intent_1", "probabilities": shares, "explain_label": "intent_1"}
    page.route("**/classify", lambda route: route.fulfill(json=answer))
    open_page(page, text=TEXT)
    expect(page.locator(".bar")).to_have_count(5)
    page.get_by_role("button", name="All 40 labels").click()
    expect(page.locator(".bar")).to_have_count(40)


def test_no_address_contains_the_text(page: Page) -> None:
    """Servers write addresses to logs; the text must be in bodies only."""
    addresses = list[str]()
    page.on("request", lambda request: addresses.append(request.url.partition("#")[0]))
    open_page(page, text="dreadful secret")
    assert addresses
    assert not [address for address in addresses if "secret" in address]

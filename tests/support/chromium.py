"""Pages in Chromium. A page may send requests to its own server only and may log no error."""

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.support.server import Server

TIMEOUT = 15_000
"""Milliseconds to wait for an element or a value."""
FLAGS = ["--no-sandbox", "--disable-background-networking"]

expect.set_options(timeout=TIMEOUT)


# Scope "module", because no other test can use asyncio while Playwright runs.
@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    """The Chromium that the system has installed."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("Chromium is not installed (Debian's package is `chromium`)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, server: Server) -> Generator[Page]:
    """A new page for one test; see `open_page`."""
    with watched_page(browser, server.url) as page:
        yield page


@contextmanager
def watched_page(browser: Browser, url: str, **options: Any) -> Generator[Page]:
    """A page that fails the test if it sends a request to another server or logs an error."""
    context = browser.new_context(
        base_url=url, permissions=["clipboard-read", "clipboard-write"], **options
    )
    page = context.new_page()
    page.set_default_timeout(TIMEOUT)
    requested, errors = list[str](), list[str]()
    page.on("request", lambda request: requested.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text))
    yield page
    context.close()
    own = urlsplit(url).netloc
    assert not [url for url in requested if urlsplit(url).netloc not in (own, "")]
    # Chromium itself logs each error status and each failed connection.
    assert not [error for error in errors if "Failed to load resource" not in error]


def open_page(page: Page, **state: str) -> None:
    """Open the page with a state in its address, and wait until it shows an answer."""
    page.goto("/#" + urlencode(state))
    expect(words(page).first).to_be_visible()
    if "text" in state:
        expect_shown(page, state["text"])


def words(page: Page) -> Locator:
    """Return the coloured words."""
    return page.locator("#words .word")


def expect_shown(page: Page, text: str) -> None:
    """Wait until the page shows the answer to exactly this text."""
    expect(page.locator("#words")).to_have_js_property("textContent", text)


def numbers(page: Page) -> list[dict[str, Any]]:
    """Return the words that the page shows, in the form of the API's `tokens`."""
    shown = words(page).evaluate_all(
        "spans => spans.map(s => ({text: s.textContent, ...s.dataset}))"
    )
    return [
        {"text": word["text"]}
        | {name: int(word[name]) for name in ("start", "end")}
        | {name: float(word[name]) for name in ("attention", "contribution")}
        for word in shown
    ]

"""Pages in a real Chromium, which must ask no other host and log no error of their own."""

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.support.server import Server

PATIENCE = 15_000
"""Milliseconds to wait for what should be there soon."""
FLAGS = ["--no-sandbox", "--disable-background-networking"]

expect.set_options(timeout=PATIENCE)


# For a module, not the session: while Playwright runs, no other test could use asyncio.
@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    """Chromium, as the system has it."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("Chromium is not installed (Debian's package is `chromium`)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, server: Server) -> Generator[Page]:
    """A page of its own for a test; see `open_page`."""
    with watched_page(browser, server.url) as page:
        yield page


@contextmanager
def watched_page(browser: Browser, url: str, **options: Any) -> Generator[Page]:
    """A page that may talk to the server at `url` only, and may not break."""
    context = browser.new_context(
        base_url=url, permissions=["clipboard-read", "clipboard-write"], **options
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    elsewhere, faults = list[str](), list[str]()
    page.on("request", lambda request: elsewhere.append(request.url))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text))
    yield page
    context.close()
    own = urlsplit(url).netloc
    assert not [asked for asked in elsewhere if urlsplit(asked).netloc not in (own, "")]
    # Chromium itself logs each answer that is an error, and each connection that fails.
    assert not [fault for fault in faults if "Failed to load resource" not in fault]


def open_page(page: Page, **state: str) -> None:
    """Open the page at a state, as a link does, and wait until it has an answer."""
    page.goto("/#" + urlencode(state))
    expect(words(page).first).to_be_visible()
    if "text" in state:
        expect_read(page, state["text"])


def words(page: Page) -> Locator:
    """The shaded words."""
    return page.locator("#words .word")


def expect_read(page: Page, text: str) -> None:
    """Wait until the answer shown is the one to `text`, which stands there exactly."""
    expect(page.locator("#words")).to_have_js_property("textContent", text)


def numbers(page: Page) -> list[dict[str, Any]]:
    """The words that the page shows, in the form of the API's `tokens`."""
    shown = words(page).evaluate_all(
        "spans => spans.map(s => ({text: s.textContent, ...s.dataset}))"
    )
    return [
        {"text": word["text"]}
        | {name: int(word[name]) for name in ("start", "end")}
        | {name: float(word[name]) for name in ("attention", "contribution")}
        for word in shown
    ]

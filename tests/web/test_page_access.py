"""Accessibility of the page: axe-core finds no serious fault in any state and theme."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.support.chromium import open_page, watched_page
from tests.support.command import heed
from tests.support.server import Server

pytestmark = pytest.mark.browser

TEXT = "The room was dreadful, but what a gripping plot! 这家酒店非常好 فيلم جميل"


def show_attention(page: Page) -> None:
    open_page(page, text=TEXT)


def show_contributions(page: Page) -> None:
    open_page(page, text=TEXT, view="contributions")


def show_focused_word(page: Page) -> None:
    open_page(page, text=TEXT, view="contributions")
    page.locator("#words [tabindex='0']").focus()


def show_truncated_end(page: Page) -> None:
    open_page(page, text="the dull film " * 200)


def show_problem(page: Page) -> None:
    open_page(page)
    page.locator("#text").fill("   ")
    expect(page.locator("#problem")).not_to_be_empty()


def show_key_form(page: Page) -> None:
    page.route("**/models", lambda route: route.fulfill(status=401, json={"detail": "send a key"}))
    page.goto("/")
    expect(page.locator("#key-form")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    "show",
    [
        show_attention, show_contributions, show_focused_word, show_truncated_end, show_problem,
        show_key_form,
    ],
)  # fmt: skip
def test_axe_finds_no_serious_fault(
    browser: Browser, server: Server, show: Callable[[Page], None], theme: Literal["light", "dark"]
) -> None:
    with watched_page(browser, server.url, color_scheme=theme, bypass_csp=True) as page:
        show(page)
        page.wait_for_timeout(300)  # bars grow for 0.2 s
        assert not serious_faults(page)


def serious_faults(page: Page) -> list[str]:
    return [
        f"{rule['id']}: {rule['help']}: {[node['html'] for node in rule['nodes']]}"
        for rule in Axe().run(page).response["violations"]
        if rule["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_serious_fault_in_saved_pages(
    browser: Browser,
    server: Server,
    trained: Path,
    test_csv: Path,
    tmp_path: Path,
    theme: Literal["light", "dark"],
) -> None:
    heed("evaluate", trained, test_csv, "--report", tmp_path)
    saved = tmp_path / "saved.html"
    heed("classify", trained, TEXT, "--explain", "contributions", "--save", saved)
    with watched_page(browser, server.url, color_scheme=theme, bypass_csp=True) as page:
        for file in (tmp_path / "index.html", saved):
            page.set_content(file.read_text(encoding="utf-8"))
            assert not serious_faults(page)


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_page_does_not_scroll_sideways(browser: Browser, server: Server, width: int) -> None:
    viewport = {"width": width, "height": 800}
    with watched_page(browser, server.url, viewport=viewport) as page:
        open_page(page, text=TEXT + " " + "x" * 300, view="contributions")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_explanation_spans_both_columns_of_a_wide_window(browser: Browser, server: Server) -> None:
    with watched_page(browser, server.url, viewport={"width": 1280, "height": 800}) as page:
        open_page(page, text=TEXT)
        main, explanation = (
            page.locator(name).evaluate("element => element.clientWidth")
            for name in ("main", "#explanation")
        )
        assert explanation == pytest.approx(main, abs=4)


def test_tab_reaches_every_control(page: Page) -> None:
    open_page(page, text=TEXT)
    page.locator("#text").focus()
    reached = list[str]()
    while "python" not in reached and len(reached) < 40:
        page.keyboard.press("Tab")
        active = "document.activeElement.id || document.activeElement.className"
        reached.append(page.evaluate(f"{active} || document.activeElement.name"))
    for name in ("bar", "view", "copy-link", "copy-curl", "copy-python", "curl", "python"):
        assert name in reached
    assert len([name for name in reached if name.startswith("word")]) == 1


def test_label_is_announced_after_typing_stops(page: Page) -> None:
    open_page(page)
    page.evaluate(
        """() => {
            window.announced = [];
            const announcement = document.getElementById("announcement");
            new MutationObserver(() => window.announced.push(announcement.textContent))
                .observe(announcement, {childList: true, characterData: true, subtree: true});
        }"""
    )
    page.locator("#text").fill("")
    page.locator("#text").press_sequentially("a warm and gripping film", delay=150)
    expect(page.locator("#announcement")).to_contain_text("%")
    page.wait_for_timeout(1200)
    assert page.evaluate("window.announced.filter(Boolean).length") <= 1

"""/docs in Chromium: Swagger UI from this server alone, under its content security policy."""

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


def test_the_documentation_renders_and_tries_out(page: Page) -> None:
    page.goto("/docs")
    route = page.locator(".opblock", has_text="Classify one text").first
    expect(route).to_be_visible()
    route.locator(".opblock-summary-control").click()
    # It is open for trying at once; `fill` waits until it is there.
    route.locator("textarea").fill(
        '{"text": "A warm and gripping film", "explain": "contributions"}'
    )
    with page.expect_response("**/classify") as answered:
        route.get_by_role("button", name="Execute").click()
    assert answered.value.status == 200
    response = route.locator(".live-responses-table .response").first
    expect(response).to_contain_text("200")
    expect(response).to_contain_text("gripping")

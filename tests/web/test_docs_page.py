"""/docs in Chromium: Swagger UI uses files of this server only, under its security policy."""

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


def test_documentation_page_sends_a_request(page: Page) -> None:
    page.goto("/docs")
    route = page.locator(".opblock", has_text="Classify one text").first
    expect(route).to_be_visible()
    route.locator(".opblock-summary-control").click()
    # The form is open from the start; `fill` waits until it exists.
    route.locator("textarea").fill(
        '{"text": "A warm and gripping film", "explain": "contributions"}'
    )
    with page.expect_response("**/classify") as answered:
        route.get_by_role("button", name="Execute").click()
    assert answered.value.status == 200
    response = route.locator(".live-responses-table .response").first
    expect(response).to_contain_text("200")
    expect(response).to_contain_text("gripping")

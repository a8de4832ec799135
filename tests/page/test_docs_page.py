"""The interactive documentation in a real browser."""

import httpx
from playwright.sync_api import expect

from tests.page.conftest import Visit


def test_docs_try_a_call_without_an_outside_request(desk: Visit) -> None:
    """Swagger UI shows every call and runs one; nothing is asked of another host, nothing is complained of."""
    desk.page.goto(f"{desk.url}/docs")
    paths = httpx.get(f"{desk.url}/openapi.json").json()["paths"]
    expect(desk.page.locator(".opblock")).to_have_count(sum(len(calls) for calls in paths.values()))
    limits = desk.page.locator(".opblock", has_text="/v1/limits")
    limits.locator(".opblock-summary").click()
    limits.get_by_role("button", name="Execute").click()
    expect(limits.locator(".live-responses-table")).to_contain_text("posting_id_bytes")
    assert f"GET {desk.url}/v1/limits" in desk.asked

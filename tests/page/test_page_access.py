"""For every eye, ear and hand: axe finds nothing, names and roles are right, dark is dark."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.commands.live_service import LiveService
from tests.page.conftest import visiting


def assert_accessible(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize(("size", "scheme", "dark"), [("phone", "dark", True), ("desk", "light", False)])
def test_axe(browser: Browser, service: LiveService, size: str, scheme: str, dark: bool) -> None:
    """The catalogue, results, a dialog, an error: no fault by axe-core's rules, contrast among them."""
    with visiting(browser, service, size, scheme) as visit:
        page = visit.open()
        expect(page.locator("#gallery > li")).not_to_have_count(0)
        red, *_ = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)")
        assert (red < 64) == dark
        assert_accessible(page)
        page.evaluate("location.hash = '#posting=red-1'")
        expect(page.locator("#asked code")).to_be_visible()
        assert_accessible(page)
        page.get_by_role("button", name="Add a posting").click()
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.get_by_role("dialog").get_by_role("alert")).to_be_visible()
        assert_accessible(page)
        page.keyboard.press("Escape")
        page.evaluate("location.hash = '#posting=none'")
        expect(page.get_by_role("alert")).to_be_visible()
        assert_accessible(page)


def test_names(browser: Browser, service: LiveService) -> None:
    """Landmarks, fields, bars and the spoken result have their names."""
    with visiting(browser, service, "desk") as visit:
        page = visit.open("#posting=red-1")
        card = page.locator("#gallery > li", has_text="red-2")
        expect(card.get_by_role("meter", name="Overall score")).to_have_attribute(
            "aria-valuetext", "0.958, needed 0.800"
        )
        expect(card.get_by_role("meter", name="Picture score")).to_have_attribute("aria-valuenow", "1")
        expect(page.get_by_role("search")).to_be_visible()
        expect(page.get_by_role("banner")).to_be_visible()
        expect(page.get_by_role("region", name="2 matches")).to_be_visible()
        expect(page.get_by_role("group", name="How strict?").get_by_role("radio")).to_have_count(3)
        expect(page.get_by_role("button", name="Choose a picture")).to_be_attached()
        expect(page.get_by_role("status").filter(has_text="Answered in")).to_be_visible()
        assert page.title() == "2 matches – Kembar"

"""Adding and removing on the page."""

from pathlib import Path

import httpx
from playwright.sync_api import expect

from tests.commands.live_service import LiveService
from tests.page.conftest import Visit, put


def stored(service: LiveService, posting_id: str) -> httpx.Response:
    return httpx.get(f"{service.url}/v1/postings/{posting_id}")


def test_add(visit: Visit, service: LiveService, red: Path) -> None:
    """What was searched for is added with its picture and title; the page tells at once what it matches."""
    page = visit.open()
    page.get_by_role("textbox", name="Title").fill("Red plate 20 cm")
    visit.choose(red)
    page.get_by_role("button", name="Add to the catalogue").click()
    dialog = page.get_by_role("dialog", name="Add a posting")
    posting_id = dialog.get_by_label("Id").input_value()
    assert posting_id.startswith("try-")
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(dialog).to_be_hidden()
    count = len(httpx.get(f"{service.url}/v1/postings/{posting_id}/matches").json()["matches"])
    told = f"“{posting_id}” is stored. It shows the same product as {count} of the others."
    expect(page.locator("#notice")).to_have_text(told)
    expect(page.locator("#asked code")).to_have_text(posting_id)
    found = stored(service, posting_id).json()
    assert (found["title"], found["views"]) == ("Red plate 20 cm", ["image", "title"])
    httpx.delete(f"{service.url}/v1/postings/{posting_id}").raise_for_status()


def test_add_refused(desk: Visit, service: LiveService) -> None:
    """An id that is taken, one that cannot be, and a posting of nothing are told in the dialog, which keeps all."""
    page = desk.open()
    page.get_by_role("button", name="Add a posting").click()
    dialog = page.get_by_role("dialog", name="Add a posting")
    add, told = dialog.get_by_role("button", name="Add", exact=True), dialog.get_by_role("alert")
    add.click()
    expect(told).to_contain_text("Choose a picture, type a title, or both.")
    dialog.get_by_label("Title").fill("Another thing")
    for posting_id, words in (
        ("red-1", "Another posting already has this id."),
        ("..", "This id cannot be used"),
        ("a/b", "This id cannot be used"),
    ):
        dialog.get_by_label("Id").fill(posting_id)
        add.click()
        expect(told).to_contain_text(words)
    expect(dialog.get_by_label("Title")).to_have_value("Another thing")
    dialog.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Add a posting").click()
    expect(dialog.get_by_label("Title")).to_have_value("Another thing")
    expect(told).to_be_hidden()
    assert stored(service, "red-1").json()["title"] == "Red plate 20 cm"


def test_remove(visit: Visit, service: LiveService) -> None:
    """A removal is asked about in the page: kept, it stays; confirmed, it is gone and the page says so."""
    put(service, "gone", 6, "Soon gone")
    page = visit.open("#posting=gone")
    page.get_by_role("button", name="Remove").click()
    dialog = page.get_by_role("dialog", name="Remove this posting?")
    expect(dialog).to_contain_text("“Soon gone”")
    dialog.get_by_role("button", name="Keep it").click()
    expect(dialog).to_be_hidden()
    assert stored(service, "gone").status_code == 200
    page.get_by_role("button", name="Remove").click()
    dialog.get_by_role("button", name="Remove").click()
    expect(page.locator("#notice")).to_have_text("“gone” is removed.")
    expect(page.locator("#gallery")).not_to_contain_text("Soon gone")
    assert stored(service, "gone").status_code == 404
    page.evaluate("location.hash = '#posting=gone'")
    expect(page.get_by_role("alert")).to_contain_text("There is no posting with this id.")

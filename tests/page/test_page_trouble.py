"""What goes wrong is said in words, loses nothing, and leaves a way to go on."""

import signal
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from tests.commands.live_service import live_service
from tests.page.conftest import Visit


def test_empty_catalogue(visit: Visit, tmp_path: Path) -> None:
    """A page over nothing says how to begin, and lets one begin here."""
    with live_service(tmp_path / "none") as fresh:
        visit.url = fresh.url
        page = visit.open()
        expect(page.get_by_role("heading", name="The catalogue is empty")).to_be_visible()
        expect(page.locator("#empty")).to_contain_text(
            f"kembar import postings.csv --images pictures/ --url {fresh.url}"
        )
        page.locator("#empty").get_by_role("button", name="Add a posting").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Title").fill("The first")
        dialog.get_by_role("button", name="Add", exact=True).click()
        expect(page.locator("#notice")).to_contain_text("is stored. It matches no other.")
        expect(page.locator("#summary")).to_contain_text("Nothing comes near.")


@pytest.mark.parametrize(
    ("name", "size", "words", "is_sent"),
    [
        ("notes.txt", 500, "This file is not a picture that can be read. Choose a JPEG, PNG, WebP, GIF or AVIF", True),
        ("huge.jpg", 50 * 1024 * 1024, "“huge.jpg” has 50.0 MB; 10 MB is the most.", False),
    ],
)
def test_no_picture(visit: Visit, tmp_path: Path, name: str, size: int, words: str, is_sent: bool) -> None:
    """A file that is no picture is told so; one that is too large is not even sent. The title stays."""
    path = tmp_path / name
    with path.open("wb") as file:
        file.truncate(size)
    page = visit.open()
    page.get_by_role("textbox", name="Title").fill("Red plate 20 cm")
    visit.choose(path)
    expect(page.get_by_role("alert")).to_contain_text(words)
    assert (f"POST {visit.url}/v1/matches" in visit.asked) == is_sent
    expect(page.get_by_role("textbox", name="Title")).to_have_value("Red plate 20 cm")
    if is_sent:
        page.get_by_role("button", name="Remove the picture").click()
    page.get_by_role("button", name="Find matches").click()
    expect(page.get_by_role("heading", name="4 matches")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_hidden()


def test_refused_words(desk: Visit) -> None:
    """Nothing to search for, a title too long, and one refused for what the page has no words for, are all told."""
    page = desk.open()
    page.get_by_role("button", name="Find matches").click()
    expect(page.get_by_role("alert")).to_contain_text("Choose a picture, type a title, or both.")
    page.get_by_role("textbox", name="Title").fill("x" * 1_001)
    page.get_by_role("button", name="Find matches").click()
    expect(page.get_by_role("alert")).to_contain_text("The title is too long: 1,000 characters are the most.")
    desk.open("#title=a%01b")
    expect(page.get_by_role("alert")).to_contain_text("got the control character U+0001; remove it")


def test_stopped_service(visit: Visit, tmp_path: Path) -> None:
    """A service that has gone is told so, with what was typed kept; once it is back, "Try again" goes on."""
    with live_service(tmp_path / "data") as own:
        visit.url = own.url
        page = visit.open()
        own.end(signal.SIGTERM)
        page.get_by_role("textbox", name="Title").fill("Red plate")
        page.get_by_role("button", name="Find matches").click()
        expect(page.get_by_role("alert")).to_contain_text("The service does not answer.")
        page.get_by_role("button", name="Add to the catalogue").or_(page.get_by_text("Add a posting")).first.click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("button", name="Add", exact=True).click()
        expect(dialog.get_by_role("alert")).to_contain_text("The service does not answer.")
        own.start()
        dialog.get_by_role("button", name="Try again").click()
        expect(page.locator("#notice")).to_contain_text("is stored")
        page.go_back()
        expect(page.locator("#gallery")).to_contain_text("Red plate")


def test_busy_service(desk: Visit) -> None:
    """A service that asks to come back later is asked again then, and the page says that it waits."""
    refused = iter([{"Retry-After": "1"}])

    def answer(route: Route) -> None:
        headers = next(refused, None)
        if headers is None:
            route.fallback()
        else:
            route.fulfill(status=503, headers=headers, json={"type": "urn:kembar:problem:overloaded"})

    desk.page.route("**/v1/matches", answer)
    page = desk.open("#title=Red+plate+20+cm")
    expect(page.get_by_text("The service is busy; trying again in 1 s…")).to_be_visible()
    expect(page.get_by_role("heading", name="4 matches")).to_be_visible()
    expect(page.get_by_text("The service is busy")).to_be_hidden()


def test_late_answer(desk: Visit) -> None:
    """An answer that comes after a newer question was asked is dropped."""
    held: list[Route] = []
    desk.page.route("**/v1/postings/blue-1/matches?*", lambda route: held.append(route))
    page = desk.open("#posting=blue-1")
    expect(page.locator("#results")).to_have_attribute("aria-busy", "true")
    page.evaluate("location.hash = '#posting=red-1'")
    expect(page.locator("#asked code")).to_have_text("red-1")
    for route in held:
        route.fallback()
    page.wait_for_load_state("networkidle")
    expect(page.locator("#asked code")).to_have_text("red-1")
    expect(page.locator("#results")).to_have_attribute("aria-busy", "false")


def test_picture_gone(desk: Visit) -> None:
    """A link to a search by picture cannot bring the picture along: that is said, and the title is there."""
    page = desk.open("#title=Red+plate&picture=gone")
    expect(page.get_by_role("alert")).to_contain_text("Choose it again.")
    expect(page.get_by_role("textbox", name="Title")).to_have_value("Red plate")

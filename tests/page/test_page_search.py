"""Searching on the page: what is shown is what the service answers."""

from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from tests.commands.live_service import LiveService
from tests.page.conftest import HOSTILE, STORED, Visit
from tests.service.conftest import jpeg


def answered(service: LiveService, **fields: str) -> dict:
    """What the service itself answers."""
    return httpx.post(f"{service.url}/v1/matches", files={name: (None, text) for name, text in fields.items()}).json()


def shown(page: Page) -> list[tuple[str, str, list[str]]]:
    """Id, probability and scores of each match, in the order of the page."""
    expect(page.locator("#gallery code").first).to_be_visible()
    return [
        (
            card.locator("code").inner_text(),
            card.locator("strong").inner_text(),
            [meter.get_attribute("aria-valuetext") for meter in card.get_by_role("meter").all()],
        )
        for card in page.locator("#gallery > li").all()
    ]


def expected(match: dict) -> tuple[str, str, list[str]]:
    views = [match[f"{view}_score"] for view in ("image", "title")]
    fused = f"{match['score']:.3f}, needed {match['threshold']:.3f}"
    scores = [fused, *(f"{one:.3f}" for one in views if one is not None)]
    sure = match["probability"] >= 0.995
    return match["posting_id"], "Over 99 %" if sure else f"{match['probability'] * 100:.0f} %", scores


def test_wall(visit: Visit) -> None:
    """The first thing to see are stored postings, each with a picture or a word instead; a phone offers its camera."""
    page = visit.open()
    expect(page.get_by_role("heading", name="Or start from one of these")).to_be_visible()
    cards = page.locator("#gallery > li")
    expect(cards).to_have_count(len(STORED))
    order = sorted(STORED, key=str.encode)
    assert [(card.inner_text().strip().split("\n")[-1]) for card in cards.all()] == [
        STORED[posting_id][1] or "Without a title" for posting_id in order
    ]
    expect(cards.nth(order.index("only words"))).to_contain_text("No picture kept")
    by_hand = page.evaluate("matchMedia('(pointer: coarse)').matches")
    expect(page.get_by_text("Take a photo").first).to_be_visible(visible=by_hand)


def test_title(visit: Visit, service: LiveService) -> None:
    """A title finds what the service answers, in its order, with all its figures."""
    page = visit.open()
    page.get_by_role("textbox", name="Title").fill("red plate 20 cm new one")
    page.get_by_role("button", name="Find matches").click()
    answer = answered(service, title="red plate 20 cm new one")
    assert shown(page) == [expected(match) for match in answer["matches"]]
    expect(page.get_by_role("heading", name="4 matches")).to_be_visible()
    expect(page.locator("#gallery > li").first).to_contain_text("not on both sides")
    expect(page.locator("#summary")).to_contain_text("Answered in")


def test_picture(visit: Visit, red: Path) -> None:
    """A chosen picture is searched for at once; a title beside it then counts too, and the picture stays."""
    page = visit.open()
    visit.choose(red)
    assert [posting_id for posting_id, *_ in shown(page)] == ["red-1", "red-2"]
    assert page.locator("#asked img").evaluate("image => image.naturalWidth") == 96
    page.get_by_role("textbox", name="Title").fill("Red plate 20 cm new")
    page.get_by_role("textbox", name="Title").press("Enter")
    expect(page.locator("#asked")).to_contain_text("Red plate 20 cm new")
    assert [posting_id for posting_id, *_ in shown(page)] == ["red-2", "red-1", "only words"]


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_picture_dropped_or_pasted(desk: Visit, way: str) -> None:
    """A picture may be dropped anywhere on the page, or pasted."""
    page = desk.open()
    page.evaluate(
        """([bytes, way]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "red.jpg", { type: "image/jpeg" }));
            const options = { bubbles: true, cancelable: true };
            const event = way === "drop"
                ? new DragEvent("drop", { ...options, dataTransfer: transfer })
                : new ClipboardEvent("paste", { ...options, clipboardData: transfer });
            document.querySelector("h1").dispatchEvent(event);
        }""",
        [list(jpeg(1)), way],
    )
    assert [posting_id for posting_id, *_ in shown(page)] == ["red-1", "red-2"]


def test_a_match_leads_on_and_back(visit: Visit, service: LiveService) -> None:
    """A click on a match searches from it; the way back shows what was there, with the focus where it was left."""
    page = visit.open("#title=Red+plate")
    before = shown(page)
    page.locator("#gallery a").nth(1).click()
    expect(page.locator("#asked code")).to_have_text(before[1][0])
    stored = httpx.get(f"{service.url}/v1/postings/{before[1][0]}/matches").json()["matches"]
    assert shown(page) == [expected(match) for match in stored]
    expect(page.get_by_role("heading", level=2, name="match")).to_be_focused()
    page.get_by_role("link", name="Back").click()
    expect(page.locator("#asked")).to_contain_text("Your search")
    assert shown(page) == before
    expect(page.locator("#gallery a").nth(1)).to_be_focused()


def test_link(desk: Visit) -> None:
    """A link to a posting with the oddest id shows it to whom it was sent to, and Back leads to the catalogue."""
    page = desk.open("#posting=..50+%25+%26+more%3F&goal=recall_90")
    expect(page.locator("#asked code")).to_have_text("..50 % & more?")
    expect(page.get_by_label("Find more")).to_be_checked()
    page.get_by_role("link", name="Back").click()
    expect(page.get_by_role("heading", name="Or start from one of these")).to_be_visible()


def test_goal(visit: Visit, service: LiveService) -> None:
    """Another strictness asks again; the nearest posting below the line is told with its score and picture."""
    page = visit.open("#posting=only+words")
    counts = {}
    for name, goal in (("Sure only", "precision_99"), ("Find more", "recall_90"), ("Balanced", "balanced")):
        page.get_by_label(name).check()
        answer = httpx.get(f"{service.url}/v1/postings/only%20words/matches?goal={goal}").json()
        expect(page.locator("#gallery > li")).to_have_count(len(answer["matches"]))
        counts[goal] = len(answer["matches"])
        rejected = answer["best_rejected"]
        text = f"It scored {rejected['score']:.3f}; {rejected['threshold']:.3f} was needed."
        expect(page.locator("#rejected")).to_contain_text(text)
        expect(page.locator("#rejected")).to_contain_text(STORED[rejected["posting_id"]][1] or "?")
        hint = page.get_by_text("learned from few examples")
        expect(hint).to_be_visible() if goal == "recall_90" else expect(hint).to_be_hidden()
    assert counts["precision_99"] < counts["balanced"]
    assert "goal" not in page.url


def test_everything_in_an_answer(desk: Visit) -> None:
    """What the small catalogue never answers is shown too: doubt, contradictions, more than fit, negative scores."""
    match = {
        "posting_id": "red-1",
        "probability": 0.124,
        "score": 0.3,
        "threshold": -0.25,
        "views": ["image", "title"],
        "goal_supported": False,
        "variant_conflict": ["500 ml / 250 ml"],
        "image_score": -0.125,
        "title_score": 0.725,
        "lexical_score": 0.8,
        "title": None,
        "metadata": {},
    }
    answer = {"matches": [match, {**match, "probability": 0.001}], "goal": "balanced", "took_ms": 7.0}
    other = {"posting_id": "red-2", "score": 0.9, "threshold": 0.8, "views": ["title"]}
    answer |= {
        "best_rejected": {**other, "variant_conflict": ["1 kg / 2 kg"]},
        "limit_reached": True,
        "model": "sha256:fake",
    }
    desk.page.route("**/v1/matches", lambda route: route.fulfill(json=answer))
    page = desk.open("#title=anything")
    figures = ["0.300, needed -0.250", "-0.125", "0.725", "0.800"]
    assert shown(page) == [("red-1", "12 %", figures), ("red-1", "Under 1 %", figures)]
    expect(page.locator("#gallery > li").first).to_contain_text("But the titles differ: 500 ml / 250 ml")
    expect(page.locator("#gallery > li").first).to_contain_text("Without a title")
    expect(page.get_by_role("heading", name="The best 2 matches")).to_be_visible()
    expect(page.locator("#summary")).to_have_text(
        "There are more; these are the best. The line at this strictness was learned from few examples: "
        "take it as a hint. Answered in 7.0 ms."
    )
    expect(page.locator("#rejected")).to_contain_text("The titles contradict each other: 1 kg / 2 kg.")


def test_hostile_title(visit: Visit) -> None:
    """Markup in a stored title is shown as it was written, wherever the title stands."""
    page = visit.open()
    expect(page.get_by_text(HOSTILE)).to_be_visible()
    page.get_by_text(HOSTILE).click()
    expect(page.locator("#asked .title")).to_have_text(HOSTILE)
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_role("dialog")).to_contain_text(HOSTILE)
    assert page.title() != "taken over"
    assert page.locator("b").count() == 0


def test_show_more(desk: Visit) -> None:
    """A bigger catalogue comes bit by bit; the way back has as many as there were."""
    many = [{"posting_id": f"p{n:02}", "title": f"Thing {n}", "views": ["title"]} for n in range(30)]

    def answer(route: Route) -> None:
        limit = int(route.request.url.partition("limit=")[2])
        route.fulfill(json={"postings": many[:limit], "next_cursor": "next" if limit < 30 else None})

    desk.page.route("**/v1/postings?*", answer)
    page = desk.open()
    expect(page.locator("#gallery > li")).to_have_count(24)
    page.get_by_role("button", name="Show more").click()
    expect(page.locator("#gallery > li")).to_have_count(30)
    expect(page.get_by_role("link", name="Thing 24")).to_be_focused()
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()
    page.evaluate("location.hash = '#posting=red-1'")
    expect(page.locator("#asked code")).to_have_text("red-1")
    page.go_back()
    expect(page.locator("#gallery > li")).to_have_count(30)


def test_keyboard_alone(visit: Visit) -> None:
    """From the first key to a match, another strictness, a removal called off, and back: without a pointer."""
    page = visit.open("#title=plate")
    expect(page.get_by_role("heading", name="No matches")).to_be_visible()
    keys = page.keyboard
    focus = "(on => on === document.body ? '' : on.innerText || on.id)(document.activeElement)"

    def tab_to(name: str) -> None:
        for _ in range(20):
            keys.press("Tab")
            if name in page.evaluate(focus):
                return
        raise AssertionError(f"no way to {name} by Tab")

    tab_to("title")
    keys.press("Control+A")
    keys.type("Red plate 20 cm")
    keys.press("Enter")
    expect(page.get_by_role("heading", name="4 matches")).to_be_focused()
    keys.press("Tab")
    expect(page.get_by_label("Balanced")).to_be_focused()
    keys.press("ArrowRight")
    expect(page.get_by_label("Find more")).to_be_checked()
    expect(page.get_by_label("Find more")).to_be_focused()
    expect(page.locator("#gallery a[href*=recall_90]")).to_have_count(4)
    tab_to("Red plate")
    keys.press("Enter")
    expect(page.locator("#asked code")).to_be_visible()
    tab_to("Add a posting")
    keys.press("Enter")
    expect(page.get_by_role("dialog", name="Add a posting")).to_be_visible()
    keys.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.get_by_role("button", name="Add a posting")).to_be_focused()
    tab_to("Back")
    keys.press("Enter")
    expect(page.locator("#asked")).to_contain_text("Your search")

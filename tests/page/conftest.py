"""The page in a real browser against the real app, on a phone and on a desk; what goes wrong unseen is collected."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

from tests.commands.live_service import LiveService, live_service
from tests.service.conftest import jpeg

ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
ARGS += ["--disable-background-networking", "--disable-component-update"]
SIZES = {"phone": (390, 844), "desk": (1280, 900)}
HOSTILE = "<img src=x onerror=\"document.title='taken over'\"> & <b>bold</b>"
STORED: dict[str, tuple[int | None, str | None]] = {
    "red-1": (1, "Red plate 20 cm"),
    "red-2": (1, "Red plate 20 cm new"),
    "red-3": (2, "Red plate 20 cm"),
    "blue-1": (3, "Blue bowl of glass"),
    "only words": (None, "Red plate 20 cm"),
    "..50 % & more?": (4, None),
    "hostile": (5, HOSTILE),
}


def put(service: LiveService, posting_id: str, picture: int | None, title: str | None) -> None:
    """Store a posting past the page."""
    files = {} if picture is None else {"image": ("p.jpg", jpeg(picture))}
    files |= {} if title is None else {"title": (None, title)}
    httpx.put(f"{service.url}/v1/postings/{quote(posting_id, safe='')}", files=files).raise_for_status()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; it may be missing on somebody's desk, never in CI."""
    path = shutil.which("chromium")
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    """A service with a small catalogue, which every test leaves as it was."""
    with live_service(tmp_path_factory.mktemp("data")) as found:
        for posting_id, (picture, title) in STORED.items():
            put(found, posting_id, picture, title)
        yield found


@dataclass
class Visit:
    """An open page, and what happened behind it."""

    page: Page
    url: str
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Collect every request, and what the browser complains of."""
        expect.set_options(timeout=8_000)
        self.page.on("request", self._asked)
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _asked(self, request: Request) -> None:
        if not request.url.startswith("blob:"):
            self.asked.append(f"{request.method} {request.url}")

    def _said(self, message: ConsoleMessage) -> None:
        # That an answer was no success is the browser's own remark; what the page makes of it is tested.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.complaints.append(message.text)

    def open(self, fragment: str = "") -> Page:
        """Load the page at a state."""
        self.page.goto(f"{self.url}/{fragment}")
        return self.page

    def choose(self, path: Path | str, where: str = "#search") -> None:
        """Choose a picture as a person does."""
        self.page.locator(f"{where} input[type=file]").first.set_input_files(path)


@pytest.fixture(params=SIZES)
def visit(browser: Browser, service: LiveService, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """A page on a phone, then on a desk."""
    with visiting(browser, service, request.param) as found:
        yield found


@pytest.fixture
def desk(browser: Browser, service: LiveService) -> Iterator[Visit]:
    """A page on a desk, for what does not depend on the room there is."""
    with visiting(browser, service, "desk") as found:
        yield found


@contextmanager
def visiting(
    browser: Browser, service: LiveService, size: str, scheme: Literal["light", "dark"] = "light"
) -> Iterator[Visit]:
    """A page; at its end nothing has left its origin, been complained of, or stuck out to the side."""
    width, height = SIZES[size]
    touch = size == "phone"
    context = browser.new_context(
        viewport={"width": width, "height": height}, has_touch=touch, is_mobile=touch, color_scheme=scheme
    )
    found = Visit(context.new_page(), service.url)
    found.watch()
    yield found
    wide = found.page.evaluate("document.documentElement.scrollWidth")
    context.close()
    assert found.complaints == []
    assert [url for url in found.asked if not url.partition(" ")[2].startswith(found.url + "/")] == []
    assert wide <= width


@pytest.fixture
def red(tmp_path: Path) -> Path:
    """The picture of red-1 and red-2."""
    path = tmp_path / "red.jpg"
    path.write_bytes(jpeg(1))
    return path

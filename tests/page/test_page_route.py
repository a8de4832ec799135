"""The page's files over HTTP: kept by the browser, closed to everything from outside."""

import httpx
import pytest
from playwright.sync_api import Error

from tests.commands.live_service import LiveService
from tests.page.conftest import Visit


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html"),
        ("/page/page.css", "text/css"),
        ("/page/page.js", "text/javascript"),
        ("/page/icon.svg", "image/svg+xml"),
    ],
)
def test_file(service: LiveService, path: str, kind: str) -> None:
    """Each file has its type, a policy that lets nothing in from outside, and a tag by which it is asked for anew."""
    found = httpx.get(service.url + path)
    assert (found.status_code, found.headers["content-type"].partition(";")[0]) == (200, kind)
    policy = dict(part.split(" ", 1) for part in found.headers["content-security-policy"].split("; ") if " " in part)
    assert policy["default-src"] == "'none'"
    assert {value for name, value in policy.items() if name.endswith("-src")} <= {"'none'", "'self'", "'self' blob:"}
    assert found.headers["x-content-type-options"] == "nosniff"
    assert found.headers["referrer-policy"] == "same-origin"
    assert found.headers["cache-control"] == "no-cache"
    again = httpx.get(service.url + path, headers={"If-None-Match": found.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert httpx.get(service.url + path, headers={"If-None-Match": '"another"'}).content == found.content
    head = httpx.head(service.url + path)
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", found.headers["etag"])


@pytest.mark.parametrize(
    "path", ["/page/", "/page/none.js", "/page/__init__.py", "/page/..%2Fapp.py", "/page/../app.py"]
)
def test_no_file(service: LiveService, path: str) -> None:
    """What is no file of the page's is a problem document, whatever else lies near it."""
    found = httpx.get(service.url + path)
    assert (found.status_code, found.json()["type"]) == (404, "urn:kembar:problem:unknown-path")


def test_for_people_only(service: LiveService) -> None:
    """The page is no part of the interface for programs: the OpenAPI document does not have it."""
    paths = httpx.get(f"{service.url}/openapi.json").json()["paths"]
    assert [path for path in paths if path == "/" or path.startswith("/page")] == []


def test_policy_is_enforced(desk: Visit) -> None:
    """The browser knows the policy: markup from text is refused, and so is a picture from elsewhere."""
    page = desk.open()
    with pytest.raises(Error, match="TrustedHTML"):
        page.evaluate("document.body.innerHTML = '<b>bold</b>'")
    with page.expect_console_message(lambda message: "img-src" in message.text):
        page.evaluate("new Image().src = 'http://elsewhere.invalid/a.png'")
    assert len(desk.complaints) == 2
    desk.complaints.clear()
    desk.asked.clear()

"""The page on what is shipped: the command, the bundle and drawn postings."""

import csv
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from model_training.sample.catalogue import draw_catalogue
from tests.commands.live_service import LiveService
from tests.page.conftest import visiting

DEMO = Path(__file__).parents[2] / "bundles" / "demo"
SERVE = "from service.commands.main import main; main()"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[LiveService]:
    """`kembar serve` with three drawn products."""
    draw_catalogue(tmp_path / "shop", products=3, seed=7)
    arguments = ["serve", "--port", "0", "--data-dir", str(tmp_path / "data"), "--bundle", str(DEMO)]
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    found = LiveService(tmp_path, int(process.stdout.readline().split(":")[2].split()[0]), process)
    with (tmp_path / "shop" / "postings.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            files = {"image": (tmp_path / "shop" / "images" / row["image"]).read_bytes(), "title": (None, row["title"])}
            httpx.put(f"{found.url}/v1/postings/{row['posting_id']}", files=files).raise_for_status()
    yield found
    process.terminate()
    process.wait(20)
    process.stdout.close()


def test_first_minute(browser: Browser, shop: LiveService) -> None:
    """From the wall to a posting's matches and to a search by its own picture: each as the service answers it."""
    postings = httpx.get(f"{shop.url}/v1/postings").json()["postings"]
    with visiting(browser, shop, "desk") as visit:
        page = visit.open()
        expect(page.locator("#gallery > li")).to_have_count(len(postings))
        page.locator("#gallery a").first.click()
        first = postings[0]["posting_id"]
        expect(page.locator("#asked code")).to_have_text(first)
        matches = httpx.get(f"{shop.url}/v1/postings/{first}/matches").json()["matches"]
        expect(page.locator("#gallery code")).to_have_text([match["posting_id"] for match in matches])
        picture = next((shop.data_dir / "shop" / "images").iterdir())
        visit.choose(picture)
        expect(page.locator("#asked")).to_contain_text(picture.name)
        expect(page.locator("#gallery .figure").first).to_have_text("1.000")

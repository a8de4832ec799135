"""Import and match against the real application, which is stopped and killed in the middle."""

import io
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from kembar_client import Kembar
from service.commands import feed_load
from service.commands.feed_load import FeedLoad, Listener, Outcome, survey
from service.commands.main import main
from tests.commands.live_service import LiveService, live_service
from tests.commands.shop import Shop, no_fetch

ROWS = 240


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A feed of 240 postings with a picture of their own and one bad row."""
    shop = Shop(tmp_path_factory.mktemp("shop"))
    shop.images.mkdir()
    random = np.random.default_rng(7)
    for number in range(ROWS):
        tiles = Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8))
        out = io.BytesIO()
        tiles.resize((64, 64), Image.Resampling.NEAREST).save(out, "PNG")
        (shop.images / f"{number}.png").write_bytes(out.getvalue())
    (shop.images / "text.png").write_text("not a picture")
    shop.add(*(f"m{number},{number}.png,Mug number {number},g{number // 2},Home,9abc" for number in range(ROWS)))
    shop.add("bad,text.png,Mug,,,")
    return shop


@pytest.fixture
def service(tmp_path: Path) -> Iterator[LiveService]:
    """A service that holds nothing."""
    with live_service(tmp_path / "data") as live:
        yield live


def test_import_then_match(shop: Shop, service: LiveService) -> None:
    """What was imported is matched; a second import skips everything; the bad row is told both times."""
    runner = CliRunner()
    arguments = ["import", str(shop.csv), "--images", str(shop.images), "--url", service.url]

    first, second = runner.invoke(main, arguments), runner.invoke(main, arguments)
    found = runner.invoke(main, ["match", "--image", str(shop.images / "17.png"), "--url", service.url])

    assert f"{ROWS} created, 0 updated, 0 unchanged, 1 bad" in first.stdout
    assert f"0 created, 0 updated, {ROWS} unchanged, 1 bad" in second.stdout
    assert first.exit_code == second.exit_code == 1
    assert first.stderr.startswith(f"row {ROWS + 2} (posting bad): unsupported-image-format: ")
    assert found.stdout.splitlines()[1].split() == ["100.0%", "1.000", "m17", "Mug", "number", "17"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_restart_in_the_middle_of_an_import(
    shop: Shop, service: LiveService, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed or stopped in the middle, the service has every acknowledged posting, and the import goes on by itself."""
    monkeypatch.setattr(feed_load, "BATCH_LINES", 10)
    outcomes: list[Outcome] = []
    missing: list[int] = []

    def settled(outcome: Outcome) -> None:
        outcomes.append(outcome)
        if len(outcomes) == ROWS // 3:
            service.end(number)
            service.start()
            with Kembar(service.url) as other:
                held = {posting.posting_id for posting in other.scan()}
            missing.extend(row for row in list(load.outcomes) if f"m{row - 2}" not in held)

    listener = Listener(settled, lambda _: None, lambda _: None)
    with Kembar(service.url) as kembar:
        ids = frozenset(survey(shop.csv, shop.images))
        load = FeedLoad(kembar, shop.csv, shop.images, no_fetch, listener, ids, patience_s=20)
        counts = load.run()
        held = {posting.posting_id for posting in kembar.scan()}

    assert missing == []
    assert held == {f"m{row}" for row in range(ROWS)}
    assert counts[Outcome.BAD] == 1
    assert counts.total() == len(outcomes) == ROWS + 1

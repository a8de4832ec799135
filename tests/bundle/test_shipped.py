"""What the repository ships: small enough, whole, our own, and nobody's photographs."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from service.bundle.bundle import Bundle, load_bundle
from service.bundle.golden import read_golden
from service.bundle.views import Goal

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "bundles" / "demo"
REAL = ROOT.parent / "shared" / "data" / "luma" / "postings.csv"


@pytest.fixture(scope="module")
def demo() -> Bundle:
    """The shipped bundle; loading it compares its golden vectors on this processor."""
    return load_bundle(DEMO, threads=2)


def test_the_bundle_is_small() -> None:
    """It is at most 40 MB."""
    assert sum(path.stat().st_size for path in DEMO.rglob("*") if path.is_file()) <= 40e6


def test_every_goal_is_decided_and_supported_where_the_card_says_so(demo: Bundle) -> None:
    """Three view sets, three goals each, intervals around them; the stricter goal has the higher threshold."""
    assert set(demo.manifest.decisions) == {"image", "title+lexical", "image+title+lexical"}
    for decision in demo.manifest.decisions.values():
        thresholds = decision.thresholds
        assert all(learned.low <= learned.high and learned.groups >= 30 for learned in thresholds.values())
        assert (
            thresholds[Goal.RECALL_90].score <= thresholds[Goal.BALANCED].score <= thresholds[Goal.PRECISION_99].score
        )


def test_titles_alone_and_in_company_have_one_vector(demo: Bundle) -> None:
    """Eight-bit titles are run singly, so company changes nothing."""
    titles = ["Kopi susu 250 ml", "a", "LONG " * 60, "Botol minum BPA free 1 L 🔥"]
    assert not demo.manifest.encoders["title"].rows_independent
    together = demo.title.encode(titles)
    assert (together == np.concatenate([demo.title.encode([title]) for title in titles])).all()


def test_pictures_alone_and_in_company_have_one_vector(demo: Bundle) -> None:
    """A picture's vector does not depend on the batch it shares."""
    spec = demo.manifest.picture
    tensors = np.random.default_rng(4).integers(0, 256, (9, spec.height, spec.width, 3), dtype=np.uint8)
    alone = np.concatenate([demo.image.encode(tensor[None]) for tensor in tensors])
    assert (demo.image.encode(tensors) * alone).sum(1).min() > 0.99999


def test_no_golden_example_is_a_photograph_of_the_training_data() -> None:
    """There are golden examples, and none of their titles stands in the real catalogue that training saw."""
    titles = {example.title for example in read_golden(DEMO)}
    assert len(titles) >= 3
    if not REAL.exists():
        pytest.skip("the real catalogue is not here: ../shared is absent")
    with REAL.open(newline="", encoding="utf-8") as file:
        assert titles.isdisjoint(row["title"] for row in csv.DictReader(file))


def test_nothing_shipped_names_a_machine() -> None:
    """No text file of the bundles holds an absolute path or an address."""
    for path in (DEMO / "bundle.json", DEMO / "MODEL_CARD.md", DEMO / "SHA256SUMS"):
        assert not re.search(r"(?<![\w.])/(home|root|work|tmp|usr)/|https?://", path.read_text(encoding="utf-8")), path

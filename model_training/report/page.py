"""`kembar-train report`: one self-contained HTML file."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import numpy as np

from model_training.evaluate import HEADER, Row, cells_of
from model_training.plots import Figure, inline
from model_training.report import figures
from model_training.report.ablation import ablate
from model_training.report.evidence import Evidence, gather
from model_training.report.galleries import false_matches, misses
from model_training.report.languages import tell_language
from model_training.report.quality import GALLERY_HEADER, SIZE_HEADER, SPANS, answered_alone, by_gallery, by_group_size
from service.bundle.views import Goal

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 1200px; margin: 2rem auto; padding: 0 1rem; } section { margin: 3rem 0; } h2 { margin: 0 0 .5rem; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; display: block; }
table { overflow-x: auto; font-size: .87rem; }
th, td { padding: .25rem .5rem; border-bottom: 1px solid #8884; text-align: right; white-space: nowrap; }
th:first-child, td:first-child, td:nth-child(2):last-child { text-align: left; white-space: normal; }
td:first-child { min-width: 7rem; } td:nth-child(2):last-child { overflow-wrap: anywhere; }
.tiles { display: flex; flex-wrap: wrap; gap: 1rem; } .tiles b { display: block; font-size: 1.6rem; }
.tiles div { border: 1px solid #8884; border-radius: 8px; padding: .5rem 1rem; min-width: 5rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(320px, 100%), 1fr)); gap: 1rem; }
.plot { width: 100%; max-width: 520px; background: white; border-radius: 6px; }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 1rem; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: .5rem; margin: 0; padding: .6rem; }
.pair { border: 1px solid #8884; border-radius: 8px; } .pair img { width: 100%; border-radius: 4px; }
.pair p { margin: .2rem 0; font-size: .85rem; } .pair code { font-size: .7rem; overflow-wrap: anywhere; }
.pair figcaption { grid-column: 1 / 3; font-size: .8rem; opacity: .8; }
"""


def write_report(bundle: Path, csv: Path, images: Path, out: Path, cache: Path) -> None:
    """
    Measure a bundle on a catalogue and write the report, whole or not at all.

    Raises:
        TrainingError, FeedError, BundleError.
    """
    evidence = gather(bundle, csv, images, cache)
    rows = list(ablate(evidence, cache))
    fresh = out.with_name(out.name + ".new")
    fresh.write_text(_page(evidence, rows, bundle.name, csv.name), encoding="utf-8")
    os.replace(fresh, out)


def _page(evidence: Evidence, rows: Sequence[Row], bundle: str, csv: str) -> str:
    sizes, galleries = list(by_group_size(evidence)), list(by_gallery(evidence))
    whom = (
        f"The {len(evidence.queries):,} postings of the test part ask; training saw none of them."
        if evidence.is_own
        else f"All {len(evidence.queries):,} postings ask. The bundle was trained on other data: all thresholds were "
        "learned there, but for those of the table of parts, which are the best in hindsight."
    )
    sections = {
        f"{bundle} on {csv}": _tiles(sizes) + f"<p>{whom} The gallery is the whole catalogue.</p>",
        "The data": _data(evidence),
        "What each part is worth": "<p>Threshold learned on validation, figures on the queries. Never compare one F1 "
        "with another: f1_mean counts the query itself, f1_mean_others leaves it out.</p>"
        + _table(HEADER, map(cells_of, rows))
        + _eight_bits(evidence),
        "Thresholds": _thresholds(evidence) + _plots(figures.threshold_curves(evidence)),
        "How near is near": _plots(figures.similarities(evidence)),
        "Group size": "<p>At the learned <code>balanced</code> threshold; precision and recall over all answers. "
        "recall@k and mAP@20 look at the nearest postings whatever their score; recall@k is of all that k can hold, "
        "and 50 counts the query. B-cubed is of the clusters that the answers join.</p>" + _table(SIZE_HEADER, sizes),
        "As the catalogue grows": "<p>Galleries of 1x, 2x, 5x and 10x: from a tenth of the strangers, drawn by lot, to "
        "all. Learned is the <code>balanced</code> threshold that the bundle takes there, best what would have been "
        "best (dashed in the figures); share kept is what the learned one keeps of the best f1_mean.</p>"
        + _table(GALLERY_HEADER, ([key, f"{size:,}", *(f"{x:.3f}" for x in rest)] for key, size, *rest in galleries))
        + _plots(figures.gallery_curves(galleries)),
        "Queries without a match": "<p>Share that gets an answer all the same, each a false one: queries that stand "
        "alone, and all of them if their product had no other posting.</p>"
        + _table(["views", "queries that", "queries", *(goal.value for goal in Goal)], answered_alone(evidence)),
        "Calibration": "<p>Over the ten nearest candidates of each query; ECE and Brier by group size stand above.</p>"
        + _plots(figures.calibration(evidence)),
        "Learning": _plots(figures.learning(evidence)) or "<p>The bundle carries no curves.</p>",
        "Products apart": _plots(figures.groups_apart(evidence)),
        "The worst false matches": false_matches(evidence),
        "The worst misses": misses(evidence),
        "Cost and provenance": _provenance(evidence),
    }
    body = "".join(f"<section><h2>{escape(title)}</h2>{content}</section>" for title, content in sections.items())
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(bundle)}: report</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body>{body}</body></html>\n"
    )


def _tiles(sizes: Sequence[Sequence[str]]) -> str:
    """The few figures to look at first, of all that a posting can have."""
    shown = dict(zip(SIZE_HEADER, next(row for row in reversed(sizes) if row[1] == "all"), strict=True))
    tiles = (f"<div><b>{shown[name]}</b>{name}</div>" for name in ("f1_mean", "precision", "recall", "recall@1", "ECE"))
    return f'<div class="tiles">{"".join(tiles)}</div><p>{escape(shown["views"])}, goal <code>balanced</code>.</p>'


def _data(evidence: Evidence) -> str:
    catalogue, split = evidence.material.catalogue, evidence.material.split
    sizes = np.bincount(catalogue.groups)
    pictures = Counter(digest for digest in catalogue.digests if digest is not None)
    titles = Counter(title for title in catalogue.titles if title is not None)
    languages = Counter(tell_language(title) for title in titles.elements())
    groups = ((int(((sizes >= low) & (sizes <= high)).sum()), f"of {name}") for name, (low, high) in SPANS.items())
    parts = ((len(split.train), "train"), (len(split.validation), "validation"), (len(split.test), "test"))
    facts = [
        ("postings, split by super-component", parts),
        ("products, by postings", groups),
        ("pictures", (*_repeats(pictures), (len(catalogue) - pictures.total(), "postings have none"))),
        ("titles", (*_repeats(titles), (len(catalogue) - titles.total(), "postings have none"))),
        ("languages of titles", ((count, name) for name, count in languages.most_common(8))),
    ]
    return _table(["", ""], ((name, ", ".join(f"{n:,} {what}" for n, what in counts if n)) for name, counts in facts))


def _repeats(found: Counter[str]) -> tuple[tuple[int, str], ...]:
    return (len(found), "different"), (sum(n for n in found.values() if n > 1), "postings share theirs")


def _eight_bits(evidence: Evidence) -> str:
    """What eight bits cost on validation, where training tried them."""
    known = evidence.bundle.manifest.metrics.get("encoders", {})
    names = [name.removesuffix("_fp32") for name in known if name.endswith("_fp32")]
    pairs = ((name.replace("_", " "), known[f"{name}_fp32"], known[f"{name}_int8"]) for name in names)
    rows = ([name, f"{exact:.4f}", f"{small:.4f}", f"{exact - small:+.4f}"] for name, exact, small in pairs)
    return _table(["eight bits, on validation", "fp32", "int8", "lost"], rows)


def _thresholds(evidence: Evidence) -> str:
    return _table(
        ["views", "goal", "score", "95 % interval", "groups", "per tenfold gallery", "supported"],
        (
            [
                *(key, goal.value, f"{learned.score:.4f}", f"{learned.low:.4f} to {learned.high:.4f}"),
                *(learned.groups, f"{learned.per_tenfold:.4f}", "yes" if learned.supported else "no"),
            ]
            for key, decision in evidence.bundle.manifest.decisions.items()
            for goal, learned in decision.thresholds.items()
        ),
    )


def _provenance(evidence: Evidence) -> str:
    manifest, folder = evidence.bundle.manifest, evidence.bundle.path
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    speed = len(evidence.material.catalogue) / max(evidence.encode_s, 1e-9)
    facts = [
        ("encoding", f"{speed:,.0f} postings a second, each picture and title once"),
        ("bundle", f"{size:.1f} MB, {evidence.bundle.fingerprint}"),
        ("this catalogue", f"sha256:{evidence.material.catalogue.fingerprint()}"),
        ("fusion weights", ", ".join(f"{view} {weight:.3f}" for view, weight in manifest.weights.items())),
        ("measured", ", ".join(f"{name} {value}" for name, value in manifest.metrics.get("encoders", {}).items())),
        *sorted(manifest.provenance.items()),
    ]
    return _table(["", ""], facts)


def _plots(shown: Iterable[Figure]) -> str:
    panels = "".join(map(inline, shown))
    return panels and f'<div class="plots">{panels}</div>'


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

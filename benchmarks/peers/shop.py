"""The shop that both comparisons are made in: the growing catalogue of `benchmarks.growth`, and its queries."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.growth import EVERY, QUERIES, choose_queries, compose
from benchmarks.growth_postings import CACHE, TITLED, Postings, draw_parts, encode_all, join
from model_training.catalogue import read_catalogue
from service.bundle.bundle import Bundle

Posted = tuple[str, str | None, str | None]  # id, picture file, title


@dataclass(frozen=True, slots=True)
class Shop:
    """What is stored and asked, encoded; `asked` and `new` are queries and others, as sellers send them."""

    catalogue: Postings
    queries: Postings
    asked: tuple[Posted, ...]
    new: tuple[Posted, ...]


def draw_shop(bundle: Bundle, size: int, real: Path) -> Shop:
    """A catalogue of so many postings; what is missing of it is drawn and encoded, an hour and more for 100,000."""
    folders = {name: real / name for name in TITLED if (real / name / "postings.csv").exists()}
    shops = encode_all(folders, bundle, CACHE)
    parts = draw_parts(size - min(size // EVERY, sum(map(len, shops))), CACHE)
    first, *others = encode_all({part.name: part for part in parts}, bundle, CACHE)
    queries, partners = choose_queries(first, QUERIES)
    posted, used = _read_posted(parts[0]), {*queries.ids.tolist(), *partners.ids.tolist()}
    return Shop(
        catalogue=compose(join([partners, *others]), shops, size),
        queries=queries,
        asked=tuple(posted[one] for one in queries.ids.tolist()),
        new=tuple(posted[one] for one in first.ids.tolist() if one not in used),
    )


def _read_posted(part: Path) -> dict[str, Posted]:
    """By the ids that encoded postings have."""
    read = read_catalogue(part / "postings.csv", part / "images")
    ids = [f"{part.name}-{posting_id}" for posting_id in read.posting_ids]
    pictures = [str(picture) if picture else None for picture in read.pictures]
    return dict(zip(ids, zip(ids, pictures, read.titles, strict=True), strict=True))

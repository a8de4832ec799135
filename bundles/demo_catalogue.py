"""
Lay out the catalogue that `bundles/demo` is trained on: drawn products and three sets of real photographs.

    python bundles/demo_catalogue.py DRAWN REAL OUT

DRAWN is a folder that `kembar-train sample` wrote; REAL holds `luma`, `grocery` and `clothing`, each with postings.csv
and images/. OUT gets postings.csv and images/ (links). Grocery's and clothing's titles are left out: they are the names
of the classes, and would teach that a title gives the product away. Of clothing, 600 postings stand for the many
products that a shop has one posting of.
"""

import csv
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

WITHOUT_TITLES = {"grocery", "clothing"}
MOST_CLOTHING = 600
COLUMNS = ("posting_id", "image", "title", "label_group")


def main() -> None:
    """Write OUT."""
    drawn, real, out = (Path(argument).resolve() for argument in sys.argv[1:])
    (out / "images").mkdir(parents=True, exist_ok=True)
    sources = {"drawn": drawn, **{name: real / name for name in ("luma", "grocery", "clothing")}}
    with (out / "postings.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for name, folder in sources.items():
            link = out / "images" / name
            if not link.exists():
                link.symlink_to(folder / "images", target_is_directory=True)
            writer.writerows(rows_of(name, folder))


def rows_of(name: str, folder: Path) -> Iterator[dict[str, str]]:
    """The postings of one source, ids and groups prefixed with its name so that no two sources meet."""
    with (folder / "postings.csv").open(newline="", encoding="utf-8") as file:
        for row in islice(csv.DictReader(file), MOST_CLOTHING if name == "clothing" else None):
            yield {
                "posting_id": f"{name}-{row['posting_id']}",
                "image": f"{name}/{row['image']}",
                "title": "" if name in WITHOUT_TITLES else row["title"],
                "label_group": f"{name}-{row['label_group']}" if row["label_group"] else "",
            }


if __name__ == "__main__":
    main()

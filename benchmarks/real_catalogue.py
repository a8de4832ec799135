"""
A real catalogue, end to end: imported by the command, then queried with pictures as a copying seller would make them.

    python -m benchmarks.real_catalogue --catalogue DIR [--bundle bundles/demo] [--json FILE]

DIR holds postings.csv and images/. Each distinct picture is re-encoded as JPEG quality 60, cropped by 5 % a side and
resized to 70 %, its title lower-cased. Counted is how often the first answer is of the query's own product:

- `any`: among all postings;
- `other picture`: with every posting that shares the query's picture excluded, for products that have another picture.

Each at threshold -1 (`ranked`: is the nearest right?) and at the default goal (`answered`: does the answer begin with a
right one?). Besides: time of the import, median time of a match, memory of the service, files on disk.
"""

import argparse
import csv
import io
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from benchmarks.report import write_report
from kembar_client import Kembar
from kembar_client.errors import Unreachable

COMMAND = Path(sys.executable).with_name("kembar")


@dataclass(frozen=True, slots=True)
class Query:
    """One distinct picture as another seller would post it."""

    image: bytes
    title: str
    group: str
    sharing: tuple[str, ...]  # postings with this very picture
    has_other_picture: bool


@dataclass(frozen=True, slots=True)
class Score:
    """Shares, 0..1, over `queries` queries."""

    queries: int
    ranked: float
    answered: float


def main() -> None:
    """Measure, print, and write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalogue", type=Path, default=Path("../shared/data/luma"))
    parser.add_argument("--bundle", type=Path, default=Path("bundles/demo"))
    parser.add_argument("--json", type=Path, default=Path(".cache/benchmarks/real_catalogue.json"))
    options = parser.parse_args()
    if not (options.catalogue / "postings.csv").exists():
        print(f"skipped: no catalogue at {options.catalogue}")
        return
    groups = read_groups(options.catalogue)
    queries = list(disguised_queries(options.catalogue))
    with tempfile.TemporaryDirectory() as folder, served(Path(folder), options.bundle) as (url, server):
        started = time.perf_counter()
        load(options.catalogue, url)
        figures: dict[str, object] = {"postings": len(groups), "import_s": round(time.perf_counter() - started, 2)}
        times: list[float] = []
        with Kembar(url) as kembar:
            fingerprint = kembar.model().fingerprint
            for name, excluding in (("any", False), ("other picture", True)):
                for titled in (True, False):
                    score = ask(kembar, queries, groups, times, titled=titled, excluding=excluding)
                    figures[f"{name}, {'picture and title' if titled else 'picture alone'}"] = asdict(score)
        figures["match_ms_median"] = round(statistics.median(times), 2)
        figures["service_rss_mib"] = resident_mib(server)
        figures["disk_mib"] = round(sum(path.stat().st_size for path in Path(folder).rglob("*.*")) / 2**20, 1)
    print(json.dumps(figures, indent=1))
    write_report(options.json, figures, bundle=fingerprint)


def read_groups(catalogue: Path) -> dict[str, str]:
    """Group by posting id."""
    with (catalogue / "postings.csv").open(newline="", encoding="utf-8") as file:
        return {row["posting_id"]: row["label_group"] for row in csv.DictReader(file)}


def disguised_queries(catalogue: Path) -> Iterator[Query]:
    """One query a distinct picture, with the title of the first posting that shows it."""
    by_picture: dict[str, list[dict[str, str]]] = defaultdict(list)
    pictures: dict[str, set[str]] = defaultdict(set)
    with (catalogue / "postings.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            by_picture[row["image"]].append(row)
            pictures[row["label_group"]].add(row["image"])
    for name, rows in by_picture.items():
        first = rows[0]
        yield Query(
            image=disguise(catalogue / "images" / name),
            title=first["title"].lower(),
            group=first["label_group"],
            sharing=tuple(row["posting_id"] for row in rows),
            has_other_picture=len(pictures[first["label_group"]]) > 1,
        )


def disguise(path: Path) -> bytes:
    """Cropped by 5 % a side, resized to 70 %, JPEG quality 60."""
    with Image.open(path) as picture:
        wide, high = picture.size
        cut = picture.convert("RGB").crop(
            (round(wide * 0.05), round(high * 0.05), round(wide * 0.95), round(high * 0.95))
        )
    small = cut.resize((round(cut.width * 0.7), round(cut.height * 0.7)), Image.Resampling.BICUBIC)
    target = io.BytesIO()
    small.save(target, "JPEG", quality=60)
    return target.getvalue()


@contextmanager
def served(data_dir: Path, bundle: Path) -> Iterator[tuple[str, int]]:
    """Run the service as an operator does; gives its address and process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    arguments = ["serve", "--port", str(port), "--data-dir", str(data_dir / "data"), "--bundle", str(bundle)]
    server = subprocess.Popen([COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with Kembar(url) as kembar:
            while not is_ready(kembar):
                time.sleep(0.1)
        yield url, server.pid
    finally:
        server.terminate()
        server.wait(30)


def is_ready(kembar: Kembar) -> bool:
    """Whether the service is up and takes work."""
    try:
        return kembar.ready().ready
    except Unreachable:
        return False


def load(catalogue: Path, url: str) -> None:
    """Import the catalogue by the command."""
    arguments = ["import", str(catalogue / "postings.csv"), "--images", str(catalogue / "images"), "--url", url]
    subprocess.run([COMMAND, *arguments], check=True, stdout=subprocess.DEVNULL, env=os.environ)


def ask(
    kembar: Kembar, queries: list[Query], groups: dict[str, str], times: list[float], *, titled: bool, excluding: bool
) -> Score:
    """Send the queries; note each call's milliseconds in `times`."""
    asked = [query for query in queries if query.has_other_picture or not excluding]
    ranked = answered = 0
    for query in tqdm(asked, desc="matching", disable=None):
        title, exclude = query.title if titled else None, query.sharing if excluding else ()
        nearest = kembar.match(image=query.image, title=title, exclude=exclude, threshold=-1, limit=1).matches
        ranked += bool(nearest) and groups[nearest[0].posting_id] == query.group
        started = time.perf_counter()
        found = kembar.match(image=query.image, title=title, exclude=exclude).matches
        times.append((time.perf_counter() - started) * 1e3)
        answered += bool(found) and groups[found[0].posting_id] == query.group
    return Score(len(asked), round(ranked / len(asked), 4), round(answered / len(asked), 4))


def resident_mib(process: int) -> float:
    """Resident memory of a process."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    kibibytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return round(int(kibibytes) / 1024, 1)


if __name__ == "__main__":
    main()

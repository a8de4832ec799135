"""
The whole job: Kembar beside the same ONNX encoders glued to a Chroma server with one score threshold, both over HTTP.

    python -m benchmarks.peers.whole_job [BUNDLE] [--sizes 1000 10000 100000] [--real DIR] [--json FILE]

Catalogue, queries and figures are those of `benchmarks.growth`. The glue is `storefront_chroma.py`: its threshold, and
how much its picture counts, are the best of these very queries among the first size; Kembar decides at `balanced`. Both
are loaded with vectors computed before, the glue through its collection, Kembar through its index while it is stopped.
Everything else goes through HTTP with pictures: 700 queries one by one (mean F1), matches of picture and title by 16
clients, additions by 16 clients, and further ones whose last acknowledgement is followed by `kill -9` of the server.
"Survived" is what then matches itself. Kembar keeps a small copy of each picture, the glue keeps none.

The glue encodes in the storefront's own process, Kembar in its service: memory and processor time are given for both.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.growth import count
from benchmarks.growth_postings import CACHE, SEED, Postings
from benchmarks.peers.code_lines import count_code
from benchmarks.peers.customers import Task
from benchmarks.peers.environments import PACKAGES, NoEnvironment, python_of
from benchmarks.peers.servers import Server, free_port
from benchmarks.peers.shop import Posted, Shop, draw_shop
from benchmarks.peers.storefront_threshold import choose
from benchmarks.peers.syncs import count_syncs, watching
from benchmarks.report import write_report
from index.index import Index
from index.postings import Draft
from service.bundle.bundle import Bundle, load_bundle

CLIENTS = 16
_WATCHED = 20  # additions whose forced writes are counted, one by one
Figures = dict[str, float | int | str | None]


class KembarSide:
    """`kembar serve`, and a storefront that asks it."""

    name, storefront = "kembar", "storefront_kembar"
    code = ("storefront_kembar.py",)
    python, version = Path(sys.executable), "this commit"

    def __init__(self, folder: Path, bundle: Bundle) -> None:
        self._bundle, self._data, port = bundle, folder / "kembar", free_port()
        serve = [self.python.with_name("kembar"), "serve", "--port", str(port)]
        serve += ["--data-dir", self._data, "--bundle", bundle.path, "--log-level", "warning"]
        self.server = Server(serve, port, "/readyz", folder / "kembar.log")
        self.made_with: Mapping[str, str | float] = {"address": f"http://127.0.0.1:{port}"}

    def fill(self, postings: Postings) -> None:
        """Put them into the stopped service's index."""
        self.server.stop()
        manifest = self._bundle.manifest
        index = Index.open(
            self._data,
            encoder_id=manifest.encoder_id,
            dimensions=self._bundle.dimensions,
            weights=self._bundle.decision.weights,
        )
        rows = range(len(postings))
        for write in [index.put(_draft(postings, row)) for row in rows]:
            write.result()
        index.close()


class ChromaSide:
    """`chroma run`, and the glue."""

    name, storefront = "chroma", "storefront_chroma"
    code = ("storefront_chroma.py", "storefront_threshold.py")
    version = PACKAGES["chroma"][0]

    def __init__(self, folder: Path, bundle: Bundle, picture_weight: float, threshold: float) -> None:
        self.python, self._folder, port = python_of("chroma"), folder, free_port()
        run = [self.python.with_name("chroma"), "run", "--path", folder / "chroma", "--host", "127.0.0.1"]
        self.server = Server([*run, "--port", str(port)], port, "/api/v2/heartbeat", folder / "chroma.log")
        self.made_with: Mapping[str, str | float] = {
            "address": f"http://127.0.0.1:{port}",
            "bundle": str(bundle.path),
            "picture_weight": picture_weight,
            "threshold": threshold,
        }

    def fill(self, postings: Postings) -> None:
        """Give them to the running server."""
        self.server.stop()
        self.server.start()
        views = {view: postings.vectors[view] for view in ("image", "title")}
        np.savez(self._folder / "fill.npz", ids=postings.ids, titles=postings.titles, **views)
        send(self, self._folder, "load", vectors=str(self._folder / "fill.npz"))


Side = KembarSide | ChromaSide


def main() -> None:
    """Measure, print, and write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, nargs="?", default=Path("bundles/demo"))
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--matches", type=int, default=1_000, help="by 16 clients, at each size")
    parser.add_argument("--additions", type=int, default=500, help="by 16 clients at the last size, and for the kill")
    parser.add_argument("--real", type=Path, default=Path("../shared/data"))
    parser.add_argument("--json", type=Path, default=Path(".cache/benchmarks/peers_whole_job.json"))
    options = parser.parse_args()
    sizes, bundle = sorted(options.sizes), load_bundle(options.bundle, threads=1)
    shop = draw_shop(bundle, sizes[-1], options.real)
    start = shop.catalogue.take(slice(sizes[0]))
    weight, threshold = choose(_two_views(shop.queries), shop.queries.groups, _two_views(start), start.groups)
    said = [f"Chroma's glue: picture weight {weight:.1f}, threshold {threshold:.3f}, of these queries at {sizes[0]:,}"]
    figures: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory(dir=CACHE.parent) as folder:
        makers = (KembarSide, partial(ChromaSide, picture_weight=weight, threshold=threshold))
        for make in makers:
            try:
                side = make(Path(folder), bundle)
            except NoEnvironment as exc:
                said.append(f"not measured: {exc}")
                continue
            figures[side.name] = measure(side, Path(folder), shop, sizes, options.matches, options.additions)
            write_report(options.json, {"sides": figures, "said": said}, seed=SEED, bundle=bundle.fingerprint)
    print(render(figures), *said, sep="\n")


def measure(side: Side, place: Path, shop: Shop, sizes: Sequence[int], matches: int, additions: int) -> Figures:
    """All figures of a side, size after size; its server is ended in any case."""
    own: Figures = {
        "version": side.version,
        "lines of user code": sum(count_code(Path(__file__).with_name(file)) for file in side.code),
    }
    try:
        for begin, size in zip((0, *sizes), sizes, strict=False):
            side.fill(shop.catalogue.take(slice(begin, size)))
            own |= ask(side, place, shop, size, matches)
        own |= add(side, place, shop.new, additions)
        return own | kill(side, place, shop.new, additions)
    finally:
        side.server.stop()


def ask(side: Side, place: Path, shop: Shop, among: int, matches: int) -> Figures:
    """Start it anew, then all queries one by one, then those of picture and title by many clients."""
    size = f"{among:,}"
    side.server.stop()
    ready = side.server.start()
    alone = send(side, place, "match", postings=shop.asked)
    both = [one for one in shop.asked if one[1] and one[2]]
    crowd = send(side, place, "match", clients=CLIENTS, postings=[both[turn % len(both)] for turn in range(matches)])
    outcome = count(alone["answers"], shop.queries, shop.catalogue.take(slice(among)))
    p50, p99 = np.percentile(crowd["ms"], (50, 99))
    return {
        f"mean F1 at {size}": float(outcome.measure(np.ones((1, len(shop.queries))))["f1_mean"][0]),
        f"ready after a start at {size}, s": ready,
        f"first answer at {size}, ms": alone["ms"][0],
        f"match alone at {size}, median ms": float(np.median(alone["ms"])),
        f"match by {CLIENTS} clients at {size}, median ms": float(p50),
        f"match by {CLIENTS} clients at {size}, p99 ms": float(p99),
        f"matches/s by {CLIENTS} clients at {size}": matches / crowd["wall_s"],
        f"anonymous memory at {size}, server MiB": side.server.anonymous_mib(),
        f"anonymous memory at {size}, storefront MiB": crowd["anonymous_mib"],
        f"processor time of the storefront a match at {size}, ms": crowd["cpu_s"] * 1e3 / matches,
    }


def add(side: Side, place: Path, new: Sequence[Posted], additions: int) -> Figures:
    """New postings with their pictures by many clients; a few more while somebody counts what is forced to disk."""
    done = send(side, place, "add", clients=CLIENTS, postings=_renamed(new, additions, "added"))
    log = place / "syncs.log"
    with watching(side.server.pid, log):
        send(side, place, "add", postings=_renamed(new, _WATCHED, "watched"))
    syncs = count_syncs(log)
    return {
        f"additions/s by {CLIENTS} clients": additions / done["wall_s"],
        f"addition by {CLIENTS} clients, p99 ms": float(np.percentile(done["ms"], 99)),
        "forced writes (fsync) an acknowledged addition": None if syncs is None else syncs / _WATCHED,
    }


def kill(side: Side, place: Path, new: Sequence[Posted], additions: int) -> Figures:
    """Kill the server behind the last acknowledgement, start it again, and look for what it had acknowledged."""
    killed = _renamed(new[additions:] or new, additions, "killed")
    send(side, place, "add", clients=CLIENTS, postings=killed, kill=side.server.pid)
    side.server.stop()
    ready = side.server.start()
    answers = send(side, place, "match", clients=2, postings=killed)["answers"]
    lost = sum(one[0] not in answer for one, answer in zip(killed, answers, strict=True))
    return {"ready after kill -9, s": ready, f"lost of {additions} acknowledged before kill -9": lost}


def send(
    side: Side,
    place: Path,
    work: str,
    *,
    clients: int = 1,
    postings: Sequence[Posted] = (),
    vectors: str | None = None,
    kill: int | None = None,
) -> dict[str, object]:
    """Let `benchmarks.peers.customers` do a task. Raises CalledProcessError."""
    task, answer = place / "task.json", place / "answer.json"
    asked = Task(work, side.made_with, clients, postings, vectors, kill)
    task.write_text(json.dumps(asdict(asked)), encoding="utf-8")
    command = [side.python, "-m", "benchmarks.peers.customers", side.storefront, task, answer]
    start = time.perf_counter()
    subprocess.run(command, check=True)
    took_s = time.perf_counter() - start
    print(f"{side.name}: {work} {len(postings) or 'all'} by {clients}: {took_s:.0f} s", file=sys.stderr, flush=True)
    return json.loads(answer.read_text(encoding="utf-8"))


def _renamed(postings: Sequence[Posted], wanted: int, prefix: str) -> list[Posted]:
    turns = (postings[turn % len(postings)] for turn in range(wanted))
    return [(f"{prefix}-{turn}", picture, title) for turn, (_, picture, title) in enumerate(turns)]


def _draft(postings: Postings, row: int) -> Draft:
    vectors = {view: rows[row] for view, rows in postings.vectors.items() if rows[row].any()}
    return Draft(str(postings.ids[row]), str(postings.titles[row]) or None, {}, vectors)


def _two_views(postings: Postings):
    return postings.vectors["image"], postings.vectors["title"]


def render(figures: Mapping[str, Figures]) -> str:
    """A Markdown table, a column a side."""
    lines = [f"| | {' | '.join(figures)} |", "|---" * (len(figures) + 1) + "|"]
    names = next(iter(figures.values()))
    lines += [f"| {name} | {' | '.join(_cell(own[name]) for own in figures.values())} |" for name in names]
    return "\n".join(lines)


def _cell(figure: float | int | str | None) -> str:
    if isinstance(figure, float):
        return f"{figure:.3f}" if figure < 2 else f"{figure:.1f}"
    return "not seen" if figure is None else str(figure)


if __name__ == "__main__":
    main()

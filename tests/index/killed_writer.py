"""A process that writes until it is killed, and tells what it is about to do and what was acknowledged."""

import random
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np

from index.index import Index
from index.postings import Draft
from index.tuning import TUNING
from tests.index.oracle import DIMENSIONS, WEIGHTS, Vectors, random_vectors

# As small and as busy as can be: what is trained, exchanged and snapshot is so all the time.
BUSY = replace(
    TUNING, ivf_from=3, found=1.0, retrain_factor=1.2, snapshot_behind=4, snapshot_share=0.0, pause_s=0.001, retry_s=0.0
)
TUNINGS = {"safe": TUNING, "unsafe": TUNING, "busy": BUSY}
THREADS = 8
IDS_PER_THREAD = 5


def vectors_at(posting_id: str, version: int) -> Vectors:
    """The vectors of one version of one posting, the same in every process."""
    seed = [version, *posting_id.encode()]
    rng = np.random.default_rng(seed)
    return random_vectors(rng, ("image", "title") if version % 3 else ("title",), DIMENSIONS)


def draft_at(posting_id: str, version: int) -> Draft:
    """One version of one posting; its title tells the version."""
    picture = f"picture {version}".encode() if version % 3 else None
    digest = f"{version % 7:064x}" if version % 3 else None
    return Draft(posting_id, str(version), {"v": version}, vectors_at(posting_id, version), digest, picture)


def write(index: Index, thread: int, first_version: int, say: threading.Lock) -> None:
    """Put and delete postings of this thread's own, one after the other; a line goes out in one system call."""
    draws = random.Random(thread + first_version)
    for version in range(first_version, sys.maxsize):
        posting_id = f"{thread}-{draws.randrange(IDS_PER_THREAD)}"
        deletes = draws.random() < 0.3
        line = f"{posting_id} {'gone' if deletes else version}\n"
        with say:
            sys.stdout.write("intend " + line)
            sys.stdout.flush()
        future = index.delete(posting_id) if deletes else index.put(draft_at(posting_id, version))
        future.result(10)
        with say:
            sys.stdout.write("acked " + line)
            sys.stdout.flush()


def main() -> None:
    """Arguments: the directory, the version to begin with, and one of TUNINGS; `unsafe` is without fsync."""
    tuning = TUNINGS[sys.argv[3]]
    path = Path(sys.argv[1])
    index = Index.open(path, encoder_id="sha256:one", dimensions=DIMENSIONS, weights=WEIGHTS, tuning=tuning)
    if sys.argv[3] == "unsafe":
        index._committer._store.connection.execute("PRAGMA synchronous = NORMAL")
    say = threading.Lock()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for thread in range(THREADS):
        threading.Thread(target=write, args=(index, thread, int(sys.argv[2]), say)).start()


if __name__ == "__main__":
    main()

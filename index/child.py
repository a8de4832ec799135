"""Training and verifying in a process of their own, to keep interpreter and processors free for queries."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from index.building import build_snapshot
from index.errors import ChildFailed
from index.scrub import Verdict, examine
from index.snapshot import Identity
from index.tuning import Tuning

_LOWEST_PRIORITY = 19


class Child:
    """At most one such process at a time; `stop` may come from another thread and is for good."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False

    def build(self, directory: Path, views: bytes, identity: Identity, tuning: Tuning) -> None:
        """As `build_snapshot`; raises ChildFailed."""
        self._run("build", str(directory), views.decode(), json.dumps(asdict(identity)), json.dumps(asdict(tuning)))

    def examine(self, directory: Path) -> Verdict:
        """As `scrub.examine`; raises ChildFailed."""
        return Verdict(**json.loads(self._run("examine", str(directory))))

    def stop(self) -> None:
        """End the process that runs, and start no other."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()

    def _run(self, *order: str) -> str:
        """Its last line."""
        root, threads = Path(__file__).parents[1], dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        path = os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))
        with self._lock:
            if self._stopped:
                raise ChildFailed("the index is being closed")
            self._process = subprocess.Popen(
                [sys.executable, "-m", "index.child", *order],
                stdin=subprocess.PIPE,  # never written to: it ends when this process does, and so does the child
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env={**os.environ, **threads, "PYTHONPATH": path},
            )
        with self._process as process:
            if process.stdout is None:
                raise ChildFailed("no pipe to it")
            said = process.stdout.read().strip().splitlines()
            code = process.wait()
        with self._lock:
            self._process = None
        if code:
            raise ChildFailed(f"it ended with {code}: {said[-1] if said else 'and said nothing'}")
        return said[-1]


def main(order: Sequence[str]) -> None:
    """Do what the arguments say, and end with the parent."""
    os.nice(_LOWEST_PRIORITY)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    work, directory, *rest = order
    if work == "build":
        views, identity, tuning = rest
        build_snapshot(Path(directory), views.encode(), Identity(**json.loads(identity)), Tuning(**json.loads(tuning)))
        sys.stdout.write("built\n")
    else:
        sys.stdout.write(json.dumps(asdict(examine(Path(directory)))) + "\n")


def _end_with_parent() -> None:
    os.read(0, 1)  # not by `sys.stdin`, whose lock would be missed at the end of the interpreter
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])

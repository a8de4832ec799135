"""Serves the fake bundle in a process of its own: `python -m tests.service.serve_fake DATA_DIR`; prints its address."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.app import build_app
from service.bundle.bundle import Bundle
from service.commands.server import Hooks, listen, run
from service.logs import configure_logs
from service.settings import Settings
from tests.service.fake_bundle import fake_bundle


def slow_bundle() -> Bundle:
    """The fake, except that the title "slow" takes a second."""
    bundle = fake_bundle()
    encode = bundle.title.encode

    def slow(titles: Sequence[str]) -> NDArray[np.float32]:
        if "slow" in titles:
            time.sleep(1)
        return encode(titles)

    bundle.title.encode = slow
    return bundle


if __name__ == "__main__":
    configure_logs("info")
    app = build_app(Settings(data_dir=Path(sys.argv[1]), threads=2), lambda *_: slow_bundle())
    admission = app.state.admission
    hooks = Hooks(
        started=lambda address: sys.stdout.write(f"{address}\n") and sys.stdout.flush(),
        stopping=admission.drain,
        must_stop=lambda: admission.storage_failed,
    )
    run(app, listen("127.0.0.1", 0), 10, hooks)

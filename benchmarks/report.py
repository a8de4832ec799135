"""What every benchmark's JSON carries beside its figures."""

import json
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("faiss-cpu", "onnxruntime", "apsw", "pillow", "numpy")


def write_report(path: Path, figures: object, *, seed: int | None = None, bundle: str | None = None) -> None:
    """Write one run's figures with machine, load, commit, versions and, where one was used, bundle fingerprint."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    cpu = platform.processor() or platform.machine()
    report = {
        "figures": figures,
        "seed": seed,
        "bundle": bundle,
        "commit": commit,
        "machine": {
            "cpu": cpu,
            "cores": os.cpu_count(),
            "load": os.getloadavg(),
        },
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")

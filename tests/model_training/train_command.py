"""kembar-train as a person runs it, with every hub out of reach."""

import os
import subprocess
import sys
from pathlib import Path

COMMAND = Path(sys.executable).with_name("kembar-train")
QUICK = ("--image-size", "96", "--epochs", "2")
OFFLINE = {**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}


def run(*arguments: str | Path, expect: int = 0) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    done = subprocess.run([COMMAND, *arguments], capture_output=True, text=True, env=OFFLINE, check=False, timeout=170)
    assert done.returncode == expect, done.stderr
    return done


def training(shop: Path, out: Path, cache: Path) -> list[str | Path]:
    """The arguments of a quick training."""
    return ["train", shop / "postings.csv", "--images", shop / "images", "--out", out, "--cache", cache, *QUICK]

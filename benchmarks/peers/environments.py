"""An environment of its own for each peer, made on demand, so that the project's holds none of them."""

import subprocess
import sys
from pathlib import Path

CACHE = Path(".cache/peers")
PACKAGES = {
    "hnswlib": ("hnswlib==0.8.0", "numpy==2.4.6"),
    "usearch": ("usearch==2.26.6", "numpy==2.4.6"),
    "lancedb": ("lancedb==0.40.0", "numpy==2.4.6"),
    "milvus": ("milvus-lite==3.2.2", "pymilvus==3.0.2", "numpy==2.4.6"),
    "qdrant": ("qdrant-client==1.20.0", "numpy==2.4.6"),
    "chroma": ("chromadb==1.5.9", "onnxruntime==1.31.1", "tokenizers==0.23.3", "pillow==13.0.0", "numpy==2.4.6"),
}
_SAID = 200  # characters of pip's last line, which names no address


class NoEnvironment(Exception):
    """A peer's packages cannot be had here; the message says why."""


def python_of(peer: str) -> Path:
    """
    The interpreter that has this peer's packages, installed if they are not; the project's own where it needs none.

    Raises NoEnvironment.
    """
    if peer not in PACKAGES:
        return Path(sys.executable)
    folder, wanted = CACHE / peer, "\n".join(PACKAGES[peer])
    stamp = folder / "installed.txt"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        print(f"{peer}: installing {', '.join(PACKAGES[peer])}", file=sys.stderr, flush=True)
        _run(peer, sys.executable, "-m", "venv", "--clear", str(folder))
        _run(peer, str(folder / "bin/python"), "-m", "pip", "install", "--quiet", *PACKAGES[peer])
        stamp.write_text(wanted, encoding="utf-8")
    return folder / "bin/python"


def _run(peer: str, *command: str) -> None:
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise NoEnvironment(f"{', '.join(PACKAGES[peer])}: {' '.join(done.stderr.strip().splitlines()[-1:])[:_SAID]}")

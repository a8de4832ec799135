"""Golden examples: postings that ship with the bundle, and the vectors that its encoders gave where it was made."""

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter
from pydantic.dataclasses import dataclass

from service.bundle.errors import GoldenMismatch
from service.bundle.manifest import STRICT, read_document
from service.bundle.views import View

GOLDEN = "golden/golden.json"
LEAST_COSINE = 0.999


@dataclass(frozen=True, slots=True, config=STRICT)
class GoldenExample:
    """One posting: a picture file beside golden.json, a title, and the unit vectors they gave."""

    picture: str
    title: str
    vectors: Mapping[View, tuple[float, ...]]


_ADAPTER = TypeAdapter(Annotated[tuple[GoldenExample, ...], Field(min_length=1)])


def read_golden(bundle: Path) -> tuple[GoldenExample, ...]:
    """Read golden.json. Raises DamagedBundle."""
    return read_document(bundle / GOLDEN, _ADAPTER)


def write_golden(bundle: Path, examples: tuple[GoldenExample, ...]) -> None:
    """Write golden.json; the pictures lie beside it already."""
    (bundle / GOLDEN).write_bytes(_ADAPTER.dump_json(examples, indent=1) + b"\n")


def compare_golden(path: Path, expected: tuple[float, ...], got: NDArray[np.float32]) -> None:
    """Raise GoldenMismatch, which names the file, both figures and the processor, where the cosine is below 0.999."""
    cosine = float(np.dot(np.asarray(expected, dtype=np.float32), got)) if len(expected) == len(got) else 0.0
    if not cosine >= LEAST_COSINE:
        found = f"expected cosine >= {LEAST_COSINE}, got {cosine:.5f} on {_processor()}"
        raise GoldenMismatch(f"{path}: golden vectors: {found}; use a bundle that was exported for this processor")


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())

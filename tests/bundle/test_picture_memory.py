"""Memory: the largest pictures that are accepted stay below what is promised."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.bundle.picture_bytes import encode, flat_jpeg, idat, png

ROOT = Path(__file__).parents[2]

# The peak is read from the kernel in a fresh process: Python's own counters see no pixel of Pillow's.
MEASURE = """
import re, sys
from pathlib import Path
from service.bundle.picture import decode_picture, stored_picture
def mebibytes(name):
    return int(re.search(name + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024
data = Path(sys.argv[1]).read_bytes()
before = mebibytes("VmRSS")
stored_picture(decode_picture(data, 512), 512)
print(mebibytes("VmHWM") - before)
"""


@pytest.mark.parametrize(
    ("limit_mib", "build"),
    [
        pytest.param(120, lambda: flat_jpeg(8_000, 8_000), id="baseline-jpeg-64-mp"),
        pytest.param(256, lambda: flat_jpeg(16_384, 1_023), id="long-jpeg-17-mp"),
        pytest.param(256, lambda: flat_jpeg(5_000, 5_000, scans=100, frame=0xC2), id="progressive-jpeg-25-mp"),
        pytest.param(256, lambda: png(5_000, 5_000, idat(5_000, 5_000, 3), colour=2), id="png-25-mp"),
        pytest.param(256, lambda: png(4_000, 4_000, idat(4_000, 4_000, 8), colour=6, depth=16), id="png-rgba-16-mp"),
        pytest.param(256, lambda: png(16_384, 976, idat(16_384, 976, 4), colour=6), id="long-png-rgba-16-mp"),
        pytest.param(256, lambda: png(4_000, 4_000, idat(4_000, 4_000, 2), depth=16), id="png-16-bit-16-mp"),
        pytest.param(256, lambda: encode(Image.new("P", (5_000, 5_000)), "GIF"), id="gif-25-mp"),
        pytest.param(256, lambda: encode(Image.new("RGBA", (4_000, 4_000)), "WEBP", method=0), id="webp-16-mp"),
        pytest.param(256, lambda: encode(Image.new("RGBA", (16_383, 976)), "WEBP", method=0), id="long-webp-16-mp"),
        pytest.param(256, lambda: encode(Image.new("RGBA", (4_000, 4_000)), "AVIF", speed=10), id="avif-16-mp"),
    ],
)
def test_the_largest_pictures_fit(limit_mib: int, build: Callable[[], bytes], tmp_path: Path) -> None:
    """Decoding and storing the largest picture of each kind takes at most 256 MiB, a baseline photograph 120."""
    file = tmp_path / "picture"
    file.write_bytes(build())
    measured = subprocess.run(
        [sys.executable, "-c", MEASURE, str(file)], capture_output=True, text=True, check=True, timeout=60, cwd=ROOT
    )
    assert 2 < int(measured.stdout) <= limit_mib

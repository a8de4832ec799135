"""Put a bundle together beside its place, check it as the service will, and move it there in one step."""

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from model_training.errors import UnusableCatalogue
from model_training.export_encoders import ShippedEncoders
from model_training.sample.catalogue import draw_catalogue
from service.bundle.bundle import load_bundle
from service.bundle.feed import FeedRow, read_feed
from service.bundle.golden import GOLDEN, GoldenExample, write_golden
from service.bundle.manifest import PictureSpec
from service.bundle.picture import decode_picture, picture_tensor, stored_picture
from service.bundle.sealing import seal
from service.bundle.views import View

_GOLDEN_PRODUCTS, _GOLDEN_SIDE = 3, 192


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """
    Give a fresh directory beside `out`; when the block ends well it is sealed, loaded as the service would load it,
    and renamed to `out`. When it does not, nothing is left.

    Raises:
        UnusableCatalogue: `out` is there already: a bundle is immutable.
    """
    if out.exists():
        raise UnusableCatalogue(
            f"{out}: exists already, and a bundle is never changed; give another --out, or remove it"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        yield stage
        stage.chmod(0o755)
        seal(stage)
        load_bundle(stage, threads=1)
        os.rename(stage, out)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def write_golden_examples(stage: Path, spec: PictureSpec, encoders: ShippedEncoders) -> None:
    """Draw a few postings of the sample catalogue, which belong to nobody, and keep what the encoders give for them."""
    (stage / GOLDEN).parent.mkdir()
    with tempfile.TemporaryDirectory() as folder:
        draw_catalogue(Path(folder), products=_GOLDEN_PRODUCTS, seed=0)
        rows = [
            row for row in read_feed(Path(folder) / "postings.csv", Path(folder) / "images") if isinstance(row, FeedRow)
        ]
        examples = [
            _golden_example(stage, f"{number}.jpg", row.image.read_bytes(), row.title, spec, encoders)
            for number, row in enumerate(rows)
            if row.image is not None and row.title is not None
        ]
    write_golden(stage, tuple(examples))


def _golden_example(
    stage: Path, name: str, picture: bytes, text: str, spec: PictureSpec, encoders: ShippedEncoders
) -> GoldenExample:
    path = (stage / GOLDEN).parent / name
    path.write_bytes(stored_picture(decode_picture(picture, spec.decode_side), _GOLDEN_SIDE))
    tensor = picture_tensor(decode_picture(path.read_bytes(), spec.decode_side), spec)
    vectors = {
        View.IMAGE: encoders.image.encode(tensor[None])[0],
        View.TITLE: encoders.title.encode([text])[0],
        View.LEXICAL: encoders.lexical.encode([text])[0],
    }
    return GoldenExample(name, text, {view: tuple(map(float, vector)) for view, vector in vectors.items()})


def describe_environment() -> dict[str, str]:
    """Versions of what made the bundle, for its provenance."""
    packages = ("torch", "torchvision", "transformers", "onnx", "onnxruntime", "pillow", "numpy", "kembar")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}

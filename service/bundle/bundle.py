"""A bundle, verified and ready: encoders and decision together."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.bundle.decision import Decision
from service.bundle.encoder import ImageEncoder, TitleEncoder
from service.bundle.errors import DamagedBundle
from service.bundle.golden import GOLDEN, compare_golden, read_golden
from service.bundle.lexical import LexicalEncoder, read_lexical
from service.bundle.manifest import MANIFEST_ADAPTER, EncoderSpec, Manifest, PictureSpec, TitleSpec, read_document
from service.bundle.picture import decode_picture, picture_tensor
from service.bundle.sealing import SUMS, digest_of, verify_seal
from service.bundle.title import TitleTokenizer
from service.bundle.views import View

MANIFEST, TOKENIZER = "bundle.json", "tokenizer.json"


@dataclass(frozen=True, slots=True)
class Bundle:
    """Everything that turns postings into vectors and scores into decisions. Immutable; its parts are thread-safe."""

    path: Path
    manifest: Manifest
    fingerprint: str
    image: ImageEncoder
    title: TitleEncoder
    lexical: LexicalEncoder | None
    decision: Decision

    @property
    def dimensions(self) -> dict[str, int]:
        """Length of each view's vectors."""
        return {str(view): spec.dimension for view, spec in self.manifest.encoders.items()}

    def encode_titles(self, titles: Sequence[str]) -> list[dict[str, NDArray[np.float32]]]:
        """For each title the unit vector (dim,) of each view that it gives. Raises ModelFault."""
        rows = {View.TITLE.value: self.title.encode(titles)}
        if self.lexical is not None:
            rows[View.LEXICAL.value] = self.lexical.encode(titles)
        return [{view: vectors[number] for view, vectors in rows.items()} for number in range(len(titles))]


def load_bundle(path: Path, *, threads: int) -> Bundle:
    """
    Verify a bundle and open its encoders: one core a call, and a wide way for pictures on up to so many threads.

    Raises DamagedBundle and GoldenMismatch.
    """
    digests = verify_seal(path)
    manifest = read_document(path / MANIFEST, MANIFEST_ADAPTER)
    if missing := {View.IMAGE, View.TITLE} - set(manifest.encoders):
        raise DamagedBundle(f"{path / MANIFEST}: encoders: expected image and title, missing {', '.join(missing)}")
    for name in (TOKENIZER, *(spec.file for spec in manifest.encoders.values())):
        if name not in digests:
            raise DamagedBundle(f"{path / name}: expected this file beside {MANIFEST}, found none in {SUMS}")
    expected = compute_encoder_id(digests, manifest.encoders, manifest.picture, manifest.title)
    if expected != manifest.encoder_id:
        raise DamagedBundle(f"{path / MANIFEST}: encoder_id: expected {expected}, got {manifest.encoder_id}")
    image, title = manifest.encoders[View.IMAGE], manifest.encoders[View.TITLE]
    lexical = manifest.encoders.get(View.LEXICAL)
    tokenizer = TitleTokenizer(path / TOKENIZER, manifest.title.max_tokens)
    bundle = Bundle(
        path=path,
        manifest=manifest,
        fingerprint=f"sha256:{digest_of(path / SUMS)}",
        image=ImageEncoder(path / image.file, image, threads=threads),
        title=TitleEncoder(path / title.file, title, tokenizer, threads=1),
        lexical=None if lexical is None else read_lexical(path / lexical.file),
        decision=Decision(manifest.weights, manifest.decisions, manifest.gallery_size),
    )
    _check_golden(bundle)
    return bundle


def compute_encoder_id(
    digests: Mapping[str, str], encoders: Mapping[View, EncoderSpec], picture: PictureSpec, title: TitleSpec
) -> str:
    """SHA-256 over all that determines the vectors: graphs and tokenizer by their digests, and preprocessing."""
    parts = {
        "encoders": {view: asdict(spec) for view, spec in encoders.items()},
        "files": {name: digests[name] for name in (TOKENIZER, *(spec.file for spec in encoders.values()))},
        "picture": asdict(picture),
        "title": asdict(title),
    }
    return "sha256:" + hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _check_golden(bundle: Bundle) -> None:
    golden = bundle.path / GOLDEN
    for example in read_golden(bundle.path):
        image = decode_picture((golden.parent / example.picture).read_bytes(), bundle.manifest.picture.decode_side)
        tensor = picture_tensor(image, bundle.manifest.picture)
        compare_golden(golden, example.vectors.get(View.IMAGE, ()), bundle.image.encode(tensor[None])[0])
        for view, vector in bundle.encode_titles([example.title])[0].items():
            compare_golden(golden, example.vectors.get(View(view), ()), vector)

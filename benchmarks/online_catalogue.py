"""What the online benchmarks ask and what they ask it of: photographs, titles, requests, a catalogue of any size."""

import base64
import csv
import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from benchmarks.load import NUMBER
from index.index import Index
from index.postings import Draft
from service.bundle.bundle import Bundle
from service.bundle.picture import decode_picture, picture_tensor

LUMA = Path("../shared/data/luma")
SEED = 29
SIDES = (1274, 1580)  # of luma's photographs, and of the drawn ones
NEAR = 0.02  # the part of the postings that lie as near to their source as another posting of its product
IN_FLIGHT = 2_000
BOUNDARY = "kembar-benchmark"


@dataclass(frozen=True, slots=True)
class Sources:
    """Photographs of full size as JPEG, and titles."""

    photographs: Sequence[bytes]
    titles: Sequence[str]


def read_sources(luma: Path = LUMA) -> Sources:
    """luma's, where they are there; otherwise drawn photographs of their size and made-up titles."""
    if (luma / "full_size").exists():
        with (luma / "postings.csv").open(newline="", encoding="utf-8") as file:
            titles = [row["title"] for row in csv.DictReader(file)]
        return Sources([path.read_bytes() for path in sorted((luma / "full_size").iterdir())], titles)
    rng = np.random.default_rng(SEED)
    titles = [f"Bottle number {number} of steel, {number % 9 + 1}00 ml" for number in range(500)]
    return Sources([_drawn(rng) for _ in range(12)], titles)


def _drawn(rng: np.random.Generator) -> bytes:
    """Soft shapes and grain, progressive, about as many bytes as a photograph."""
    shapes = Image.fromarray(rng.integers(0, 256, (12, 10, 3), dtype=np.uint8)).resize(SIDES, Image.Resampling.BICUBIC)
    grain = rng.normal(0, 6, (SIDES[1], SIDES[0], 1))
    target = io.BytesIO()
    picture = Image.fromarray(np.clip(np.asarray(shapes) + grain, 0, 255).astype(np.uint8))
    picture.save(target, "JPEG", quality=75, progressive=True)
    return target.getvalue()


def fill(data_dir: Path, bundle: Bundle, sources: Sources, postings: int) -> None:
    """
    Put so many postings past HTTP and encoders, where the directory has not got them from an earlier run.

    Each is a photograph and a title of the sources, encoded, and moved away in every view: 2 % to a cosine of .75 to 1,
    the others of .2 to .65. So a query has few matches among many that are somewhat alike.
    """
    marker = data_dir.with_suffix(".filled")
    if marker.exists():
        return
    views = encode(bundle, sources)
    rng = np.random.default_rng(SEED)
    index = Index.open(
        data_dir,
        encoder_id=bundle.manifest.encoder_id,
        dimensions=bundle.dimensions,
        weights=bundle.decision.weights,
    )
    writes = []
    for number in tqdm(range(postings), desc="filling", disable=None):
        cosine = rng.uniform(0.75, 1.0) if rng.random() < NEAR else rng.uniform(0.2, 0.65)
        vectors = {}
        for view, rows in views.items():
            vectors[view] = _moved(
                rows[rng.integers(len(rows))] if view == "image" else rows[number % len(rows)], cosine, rng
            )
        title = sources.titles[number % len(sources.titles)]
        writes.append(index.put(Draft(f"stored-{number:07}", title, {"shop": number % 100}, vectors)))
        if number >= IN_FLIGHT:
            writes[number - IN_FLIGHT].result()
    for write in writes:
        write.result()
    index.close()
    marker.touch()


def encode(bundle: Bundle, sources: Sources) -> dict[str, NDArray[np.float32]]:
    """Per view the unit rows of all photographs or all titles."""
    spec = bundle.manifest.picture
    tensors = [picture_tensor(decode_picture(one, spec.decode_side), spec) for one in sources.photographs]
    titles = bundle.encode_titles(sources.titles)
    rows = {view: np.stack([vectors[view] for vectors in titles]) for view in titles[0]}
    return {"image": np.concatenate([bundle.image.encode(one[None]) for one in tensors]), **rows}


def _moved(row: NDArray[np.float32], cosine: float, rng: np.random.Generator) -> NDArray[np.float32]:
    noise = rng.standard_normal(len(row), dtype=np.float32)
    noise -= row * (noise @ row)
    return cosine * row + np.sqrt(1 - cosine**2, dtype=np.float32) * noise / np.linalg.norm(noise)


def match_calls(sources: Sources) -> list[bytes]:
    """`POST /v1/matches` with a photograph and a title, as a storefront's backend sends it."""
    return [_form("POST", "/v1/matches", *one) for one in _pairs(sources)]


def put_calls(sources: Sources) -> list[bytes]:
    """`PUT` of a posting that is new in id and picture at each sending: a number behind the JPEG changes its digest."""
    path = "/v1/postings/added-" + NUMBER.decode()
    return [_form("PUT", path, title, picture + NUMBER) for title, picture in _pairs(sources)]


def stored_calls(postings: int) -> list[bytes]:
    """`GET /v1/postings/{id}/matches` of stored postings."""
    rows = np.random.default_rng(SEED).integers(postings, size=500)
    return [f"GET /v1/postings/stored-{row:07}/matches HTTP/1.1\r\nHost: benchmark\r\n\r\n".encode() for row in rows]


def bulk_lines(sources: Sources, count: int) -> list[bytes]:
    """Lines of a bulk load; its postings are new in id and picture in every run."""
    pairs, start = _pairs(sources), f"bulk-{os.getpid()}"
    lines = []
    for number in range(count):
        title, picture = pairs[number % len(pairs)]
        image = base64.b64encode(picture + f"{start}-{number:06}".encode()).decode()
        operation = {"op": "put", "posting_id": f"{start}-{number:06}", "title": title, "image_base64": image}
        lines.append(json.dumps(operation).encode() + b"\n")
    return lines


def _pairs(sources: Sources) -> list[tuple[str, bytes]]:
    titles, photographs = sources.titles, sources.photographs
    step = max(len(titles) // 48, 1)
    return [(titles[number * step % len(titles)], photographs[number % len(photographs)]) for number in range(48)]


def _form(method: str, path: str, title: str, picture: bytes) -> bytes:
    part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="'
    body = f'{part}title"\r\n\r\n{title}\r\n{part}image"; filename="a.jpg"\r\n\r\n'.encode() + picture
    body += f"\r\n--{BOUNDARY}--\r\n".encode()
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: benchmark\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body

"""What a storefront writes to find duplicates with a vector store: two encoders, Chroma over HTTP, one threshold."""

import html
import io
import json
import unicodedata
from pathlib import Path

import chromadb
import numpy as np
import onnxruntime
from chromadb.config import Settings
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer

from benchmarks.peers.storefront_threshold import DEPTH, combine


class Storefront:
    """Thread-safe, as a web framework's worker threads need it."""

    def __init__(self, address: str, bundle: str, picture_weight: float, threshold: float) -> None:
        host, port = address.removeprefix("http://").split(":")
        client = chromadb.HttpClient(host, int(port), settings=Settings(anonymized_telemetry=False))
        self.collection = client.get_or_create_collection("postings", configuration={"hnsw": {"space": "cosine"}})
        spec = json.loads((Path(bundle) / "bundle.json").read_text(encoding="utf-8"))
        self._picture, self._encoders = spec["picture"], spec["encoders"]
        self._image_session = onnxruntime.InferenceSession(Path(bundle) / "image_encoder.onnx")
        self._title_session = onnxruntime.InferenceSession(Path(bundle) / "title_encoder.onnx")
        self._tokenizer = Tokenizer.from_file(str(Path(bundle) / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(spec["title"]["max_tokens"])
        self._picture_weight, self._threshold = picture_weight, threshold

    def add(self, posting_id: str, image: bytes | None, title: str | None) -> None:
        """Store a posting, in place of what was there."""
        self.collection.upsert([posting_id], embeddings=self._embed(image, title), metadatas=[{"title": title or ""}])

    def matches(self, image: bytes | None, title: str | None) -> list[str]:
        """The ids of at most 50 postings that show the same product."""
        found = self.collection.query(self._embed(image, title), n_results=DEPTH, include=["distances"])
        answers = zip(found["ids"][0], found["distances"][0], strict=True)
        return [posting_id for posting_id, distance in answers if 1 - distance >= self._threshold]

    def _embed(self, image: bytes | None, title: str | None) -> NDArray[np.float32]:
        picture = self._embed_image(image) if image else np.zeros((1, self._encoders["image"]["dimension"]))
        words = self._embed_title(title) if title else np.zeros((1, self._encoders["title"]["dimension"]))
        return combine(picture, words, self._picture_weight)

    def _embed_image(self, data: bytes) -> NDArray[np.float32]:
        image = Image.open(io.BytesIO(data))
        image.draft("RGB", (self._picture["decode_side"], self._picture["decode_side"]))
        small = image.convert("RGB").resize(
            (self._picture["width"], self._picture["height"]), Image.Resampling.BILINEAR
        )
        return self._image_session.run(None, {"pixels": np.asarray(small)[None]})[0]

    def _embed_title(self, title: str) -> NDArray[np.float32]:
        clean = unicodedata.normalize("NFKC", html.unescape(title))
        input_ids = np.array([self._tokenizer.encode(clean).ids], dtype=np.int64)
        feeds = {"input_ids": input_ids, "attention_mask": np.ones_like(input_ids)}
        return self._title_session.run(None, feeds)[0]

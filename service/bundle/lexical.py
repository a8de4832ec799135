"""The lexical view: character and word n-grams of a title, hashed with signs into one unit vector."""

import re
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.bundle.errors import DamagedBundle
from service.bundle.manifest import EncoderSpec
from service.bundle.title import normalise_title

DIMENSION = 512
BUCKETS = 1 << 18  # of the rarity weights: n-grams that fall together share one
SHARPNESS = 1.5  # how much more a rare n-gram counts than a frequent one; measured on pairs of shops' titles
CHARACTERS = (3, 4, 5)  # lengths of character n-grams, which never leave their word and its edges
SPEC = EncoderSpec("lexical_rarity.npy", DIMENSION, rows_independent=True, precision="hashed n-grams, rules kembar-2")

_WORD = re.compile(r"\w+(?:[.,]\d+)*")
_HYPHENATED = re.compile(r"[^\W_]+(?:-[^\W_]+)+")
_CODED = re.compile(r"[a-z]\d|\d[a-z]|\b[a-z]{1,4}-\d{3}")  # letters beside digits, or a few before a long number
_SPACE = ord(" ")
_FACTOR = 0x9E3779B97F4A7C15  # odd and without pattern: multiplying by it (modulo 2^64) loses nothing
Hashes = NDArray[np.uint64]


class LexicalEncoder:
    """Titles to unit vectors by nothing but numpy. Immutable and thread-safe; rows do not depend on each other."""

    def __init__(self, rarity: NDArray[np.float16]) -> None:
        """`rarity` (BUCKETS,): the weight of each bucket's n-grams, as `learn_rarity` gives it."""
        if rarity.shape != (BUCKETS,) or rarity.dtype != np.float16 or not np.all(rarity > 0):
            raise ValueError(f"expected {BUCKETS} positive float16 weights, got {rarity.dtype} {rarity.shape}")
        self._weights = rarity.astype(np.float64) ** SHARPNESS

    def encode(self, titles: Sequence[str]) -> NDArray[np.float32]:
        """(n,) titles -> (n, DIMENSION) float32 unit rows."""
        return np.stack([self._encode(title) for title in titles]) if titles else np.zeros((0, DIMENSION), np.float32)

    def _encode(self, title: str) -> NDArray[np.float32]:
        grams, counts = np.unique(hash_grams(title), return_counts=True)
        weights = (1 + np.log(counts)) * self._weights[_bucket(grams)]
        signed = np.where(grams >> np.uint64(63), weights, -weights)
        vector = np.bincount((grams >> np.uint64(24)).astype(np.int64) % DIMENSION, signed, DIMENSION)
        length = float(np.linalg.norm(vector))
        # Signs can cancel out, for one title in many millions; any fixed direction is as good as another then.
        unit = vector / length if length else np.eye(1, DIMENSION)[0]
        return unit.astype(np.float32)


def read_lexical(path: Path) -> LexicalEncoder:
    """Read the weights of a bundle. Raises DamagedBundle."""
    try:
        return LexicalEncoder(np.load(path, allow_pickle=False))
    except (ValueError, OSError, EOFError) as exc:
        raise DamagedBundle(f"{path}: expected {BUCKETS} weights as a .npy file, got another file") from exc


def learn_rarity(titles: Iterable[str]) -> NDArray[np.float16]:
    """Weigh n-grams by how few titles of a corpus have them: log((titles + 1) / (having it + 1)) + 1, per bucket."""
    having, count = np.zeros(BUCKETS), 0
    for title in titles:
        having[np.unique(_bucket(hash_grams(title)))] += 1
        count += 1
    return (np.log((count + 1) / (having + 1)) + 1).astype(np.float16)


def hash_grams(title: str) -> Hashes:
    """
    The n-grams of a title, each as a 64-bit hash: characters within words, words, and neighbouring words.

    A model code with hyphens counts a second time without: shops write WH-1000XM4 and WH1000XM4. A title without a
    letter or digit is taken as it is.

    >>> len(hash_grams("ab")), len(hash_grams("ab cd"))  # " ab", "ab ", " ab " and the word; twice that and the pair
    (4, 9)
    """
    text = normalise_title(title).casefold()
    words = _WORD.findall(text) or text.split() or [""]
    spelled = words + [code.replace("-", "") for code in _HYPHENATED.findall(text) if _CODED.search(code)]
    numbers = np.array([zlib.crc32(word.encode()) for word in spelled], dtype=np.uint64)
    pairs = numbers[: len(words) - 1] * np.uint64(_FACTOR) + numbers[1 : len(words)]
    return np.concatenate([*_character_grams(spelled), _mixed(numbers, 1), _mixed(pairs, 2)])


def _character_grams(words: Sequence[str]) -> list[Hashes]:
    text = " " + "  ".join(words) + " "  # two spaces stand between words: an n-gram with both would span them
    codes = np.frombuffer(text.encode("utf-32-le"), dtype="<u4").astype(np.uint64)
    gaps = np.cumsum(np.r_[0, (codes[:-1] == _SPACE) & (codes[1:] == _SPACE)])
    rolled, grams = codes, []
    for length in range(2, max(CHARACTERS) + 1):
        rolled = rolled[:-1] * np.uint64(_FACTOR) + codes[length - 1 :]
        if length in CHARACTERS:
            within = gaps[length - 1 :] == gaps[: len(rolled)]
            grams.append(_mixed(rolled[within], length))
    return grams


def _mixed(numbers: Hashes, kind: int) -> Hashes:
    """Spread over all bits (the finaliser of splitmix64), apart from the n-grams of other kinds."""
    mixed = numbers + np.uint64(kind * _FACTOR % 2**64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _bucket(grams: Hashes) -> NDArray[np.int64]:
    return (grams % np.uint64(BUCKETS)).astype(np.int64)

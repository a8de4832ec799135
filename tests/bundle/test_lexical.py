"""The lexical view against a loop over n-grams."""

import itertools
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bundle.errors import DamagedBundle
from service.bundle.lexical import BUCKETS, DIMENSION, SHARPNESS, LexicalEncoder, hash_grams, learn_rarity, read_lexical
from service.bundle.title import normalise_title

CORPUS = ["Haganti facial wash mint 500 ml", "haganti sabun muka mint 500ml", "Chaz Kangeroo Hoodie", "mug", "red mug"]


def grams(title: str) -> Counter[str]:
    """The n-grams that hashing stands for, spelled out, of a title without punctuation."""
    words = normalise_title(title).casefold().split()
    found = Counter(f"w:{word}" for word in words) + Counter(f"p:{a} {b}" for a, b in itertools.pairwise(words))
    for word in (f" {word} " for word in words):
        for length in (3, 4, 5):
            found.update(word[start : start + length] for start in range(len(word) - length + 1))
    return found


@pytest.fixture(scope="module")
def encoder() -> LexicalEncoder:
    """Weights of the corpus."""
    return LexicalEncoder(learn_rarity(CORPUS))


@pytest.mark.parametrize("title", [*CORPUS, "a", "ab ab ab", "ç ß ǆ"])
def test_grams_are_those_spelled_out(title: str) -> None:
    """As many different n-grams, each as often, as a loop finds."""
    hashed = Counter(hash_grams(title).tolist())
    assert sorted(hashed.values()) == sorted(grams(title).values())


def test_a_hyphenated_model_code_counts_as_one_word_too() -> None:
    """Codes gain the n-grams of themselves without hyphens; sizes, colours and plain words do not."""

    def added(title: str, word: str) -> bool:
        plain, alone = (Counter(hash_grams(text).tolist()) for text in (title.replace("-", " "), word))
        return Counter(hash_grams(title).tolist()) == plain + (alone if word else Counter())

    for title, word in [
        ("Headphones WH-1000XM4 black", "wh1000xm4"),
        ("kx-tg1032s", "kxtg1032s"),
        ("Player DVD-2930", "dvd2930"),
        ("Short-28-Green", ""),
        ("T-Shirt 3-pack, 28-135", ""),
    ]:
        assert added(title, word), title


def test_cosine_is_near_that_of_weighted_grams(encoder: LexicalEncoder) -> None:
    """Hashed into 512 places with signs, cosines stay within .12 of those over the n-grams themselves."""

    def weighted(title: str) -> dict[str, float]:
        rarity = {gram: math.log(6 / (1 + sum(gram in grams(one) for one in CORPUS))) + 1 for gram in grams(title)}
        return {gram: (1 + math.log(count)) * rarity[gram] ** SHARPNESS for gram, count in grams(title).items()}

    vectors = encoder.encode(CORPUS)
    for row, a in enumerate(map(weighted, CORPUS)):
        for column, b in enumerate(map(weighted, CORPUS)):
            exact = sum(a[gram] * b.get(gram, 0) for gram in a) / math.dist(a.values(), [0] * len(a))
            exact /= math.dist(b.values(), [0] * len(b))
            assert float(vectors[row] @ vectors[column]) == pytest.approx(exact, abs=0.12)


def test_vectors_are_signed_sums_of_sharpened_weights() -> None:
    """Each n-gram adds (1 + log of its count) times its weight to the power 1.5, at the place and sign of its hash."""
    rarity = np.random.default_rng(0).uniform(1, 8, BUCKETS).astype(np.float16)
    title, expected = CORPUS[1] + " mint mint", np.zeros(DIMENSION)
    for gram, count in Counter(hash_grams(title).tolist()).items():
        weight = (1 + math.log(count)) * float(rarity[gram % BUCKETS]) ** 1.5
        expected[(gram >> 24) % DIMENSION] += weight if gram >> 63 else -weight
    got = LexicalEncoder(rarity).encode([title])[0]
    assert np.allclose(got, expected / np.linalg.norm(expected), atol=1e-6)


@given(st.text(max_size=60))
def test_any_text_gives_a_unit_vector(title: str) -> None:
    """Whatever is written has length one, and the same alone as in a batch."""
    encoder = LexicalEncoder(np.ones(BUCKETS, dtype=np.float16))
    rows = encoder.encode(["mug", title])
    assert rows.shape == (2, DIMENSION)
    assert np.linalg.norm(rows[1]) == pytest.approx(1, abs=1e-5)
    assert (rows[1] == encoder.encode([title])[0]).all()


def test_case_entities_and_width_do_not_matter(encoder: LexicalEncoder) -> None:
    """What normalisation folds together has one vector."""
    same = encoder.encode(["Kopi & Susu 250ml", "kopi &amp; susu ２５０ml", "KOPI &  SUSU 250ML"])
    assert np.allclose(same @ same.T, 1, atol=1e-6)


@pytest.mark.parametrize("content", [b"", b"junk", np.ones(5, np.float16), np.zeros(BUCKETS, np.float16)])
def test_other_files_are_refused(tmp_path: Path, content: bytes | np.ndarray) -> None:
    """A file that holds no weights is named."""
    path = tmp_path / "weights.npy"
    path.write_bytes(content) if isinstance(content, bytes) else np.save(path, content)
    with pytest.raises(DamagedBundle, match=r"weights\.npy: expected 262144 weights"):
        read_lexical(path)

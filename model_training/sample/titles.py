"""Titles as sellers write them: two languages, codes, units, capitals, typos, emoji, promises."""

import numpy as np

from model_training.sample.products import Product

PROMISES = (
    "PROMO", "COD", "READY STOCK", "murah", "original", "BISA COD", "termurah", "Ori 100%", "GRATIS ONGKIR", "best seller", "import",
    "grosir", "BPOM", "viral", "terlaris", "kualitas premium", "bergaransi", "limited edition", "new arrival", "flash sale",
)  # fmt: skip
ORNAMENTS = ("🔥", "✨", "❤️", "⭐", "…", "–", "💯", "🎁", "✅", "™", "®", "★", "【HOT】", "’")


def title(product: Product, rng: np.random.Generator) -> str:
    """One title; brand (nearly always), what it is, variant and size are in it, the rest is the seller's taste."""
    english, indonesian = product.names
    noun = (english, indonesian, f"{indonesian} / {english}", f"{english} {indonesian}")[rng.integers(4)]
    words = [noun, *([] if rng.random() < 0.08 else [product.brand])]
    words = [*words[:: rng.choice([-1, 1])], product.variant[rng.integers(2)]]
    if rng.random() < 0.45:
        words.insert(int(rng.integers(1, len(words) + 1)), product.code)
    if product.size:
        words.append(_unit(product.size, rng))
    if rng.random() < 0.2:
        words.append(words.pop(1))
    line = " ".join(words)
    if rng.random() < 0.12:
        line = _typo(line, rng)
    for promise in rng.choice(PROMISES, rng.choice(4, p=(0.4, 0.3, 0.2, 0.1)), replace=False):
        line = f"{promise} {line}" if rng.random() < 0.35 else f"{line} {rng.choice(['', '- ', '| ', '/ '])}{promise}"
    if rng.random() < 0.16:
        line = f"{line} {rng.choice(ORNAMENTS)}" if rng.random() < 0.5 else f"{rng.choice(ORNAMENTS)} {line}"
    line = (line, line.upper(), line.title(), line.lower())[rng.choice(4, p=(0.35, 0.25, 0.3, 0.1))]
    return escaped(f"{line}…" if line.isascii() and rng.random() < 0.3 else line) if rng.random() < 0.12 else line


def escaped(text: str) -> str:
    r"""
    Bytes beyond ASCII written out, as the Shopee data set has them.

    >>> print(escaped("murah…"))
    murah\xe2\x80\xa6
    """
    return "".join(mark if mark.isascii() else "".join(f"\\x{byte:02x}" for byte in mark.encode()) for mark in text)


def _unit(size: str, rng: np.random.Generator) -> str:
    """The same size in another hand: `250ml`, `250 ML`, `250 ml`."""
    number = size.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
    unit = size[len(number) :].strip()
    return (size, f"{number} {unit}", f"{number}{unit}".upper(), f"{number}{unit}".lower())[rng.integers(4)]


def _typo(line: str, rng: np.random.Generator) -> str:
    """Two neighbouring letters change places, or one is lost; digits stay."""
    places = [i for i in range(1, len(line) - 1) if line[i - 1 : i + 2].isalpha()]
    if not places:
        return line
    at = places[rng.integers(len(places))]
    return line[:at] + line[at + 1] + line[at] + line[at + 2 :] if rng.random() < 0.6 else line[:at] + line[at + 1 :]

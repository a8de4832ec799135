"""Titles as sellers write them: two languages, codes, units, capitals, typos, emoji, promises."""

import numpy as np

from model_training.sample.products import Product, shop


def title(product: Product, rng: np.random.Generator) -> str:
    """One title: what it is, variant and size are in it, nearly always the brand; the rest is the seller's taste."""
    english, indonesian = product.names
    noun = (english, indonesian, f"{indonesian} / {english}", f"{english} {indonesian}")[rng.integers(4)]
    words = [noun, product.brand][:: rng.choice([-1, 1])] if rng.random() < 0.92 else [noun]
    words.append(product.variant[rng.integers(2)])
    if rng.random() < 0.45:
        words.insert(int(rng.integers(1, 3)), product.code)
    if product.size:
        size, unit = product.size, product.size.lstrip("0123456789")
        words.append((size, f"{size.removesuffix(unit)} {unit}".strip(), size.upper(), size.lower())[rng.integers(4)])
    line = " ".join(words)
    if rng.random() < 0.12:
        line = _mistyped(line, rng)
    for promise in rng.choice(shop().words["promises"], rng.choice(4, p=(0.4, 0.3, 0.2, 0.1)), replace=False):
        line = f"{promise} {line}" if rng.random() < 0.35 else f"{line} {rng.choice(['', '- ', '| '])}{promise}"
    if rng.random() < 0.2:
        ornament = rng.choice(shop().words["ornaments"])
        line = f"{line} {ornament}" if rng.random() < 0.5 else f"{ornament} {line}"
    line = (line, line.upper(), line.title(), line.lower())[rng.choice(4, p=(0.35, 0.25, 0.3, 0.1))]
    return escaped(line) if rng.random() < 0.4 else line


def escaped(text: str) -> str:
    r"""
    Bytes beyond ASCII written out, as the Shopee data set has them.

    >>> print(escaped("murah…"))
    murah\xe2\x80\xa6
    """
    return "".join(mark if mark.isascii() else "".join(f"\\x{byte:02x}" for byte in mark.encode()) for mark in text)


def _mistyped(line: str, rng: np.random.Generator) -> str:
    """Two neighbouring letters change places; digits stay."""
    at = int(rng.choice([i for i in range(1, len(line) - 1) if line[i - 1 : i + 2].isalpha()]))
    return line[:at] + line[at + 1] + line[at] + line[at + 2 :]

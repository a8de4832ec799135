"""What the drawn shop sells: products, in families that share brand and pack and differ in size, flavour or colour."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Colour = tuple[int, int, int]
Variants = Mapping[str, tuple[str, Colour]]

COLOURS: Variants = {
    "black": ("hitam", (44, 44, 48)), "white": ("putih", (238, 236, 232)), "red": ("merah", (196, 38, 44)),
    "navy": ("biru dongker", (34, 46, 92)), "sky blue": ("biru muda", (128, 182, 224)), "green": ("hijau", (44, 128, 74)),
    "sage": ("hijau sage", (158, 176, 146)), "pink": ("merah muda", (238, 158, 182)), "yellow": ("kuning", (244, 204, 66)),
    "lilac": ("ungu muda", (182, 156, 214)), "grey": ("abu-abu", (140, 142, 146)), "brown": ("coklat", (118, 78, 52)),
    "cream": ("krem", (230, 214, 184)), "orange": ("oranye", (236, 122, 40)), "maroon": ("marun", (112, 26, 42)),
    "teal": ("tosca", (36, 142, 142)),
}  # fmt: skip
TASTES: Variants = {
    "strawberry": ("stroberi", (226, 54, 76)), "mango": ("mangga", (250, 168, 32)), "grape": ("anggur", (112, 62, 150)),
    "apple": ("apel", (112, 178, 56)), "chocolate": ("coklat", (98, 58, 38)), "vanilla": ("vanila", (240, 216, 150)),
    "coconut": ("kelapa", (214, 208, 196)), "matcha": ("matcha", (136, 168, 84)), "coffee": ("kopi", (122, 84, 56)),
    "orange": ("jeruk", (246, 130, 30)), "cheese": ("keju", (248, 196, 60)), "spicy": ("pedas", (206, 36, 28)),
    "original": ("original", (40, 92, 168)), "honey": ("madu", (222, 150, 34)), "melon": ("melon", (168, 208, 112)),
    "blueberry": ("bluberi", (72, 84, 168)),
}  # fmt: skip
SCENTS: Variants = {
    "lavender": ("lavender", (150, 122, 200)), "rose": ("mawar", (222, 92, 126)), "aloe": ("lidah buaya", (96, 172, 110)),
    "mint": ("mint", (92, 196, 176)), "jasmine": ("melati", (236, 226, 170)), "charcoal": ("arang", (62, 64, 70)),
    "green tea": ("teh hijau", (124, 164, 78)), "sakura": ("sakura", (246, 170, 192)), "lemon": ("lemon", (246, 214, 58)),
    "ocean": ("laut", (46, 128, 196)), "musk": ("kesturi", (150, 118, 98)), "papaya": ("pepaya", (240, 132, 72)),
}  # fmt: skip
ML = ("60ml", "100ml", "250ml", "500ml", "1 L")
GRAM = ("50g", "100g", "250g", "500g", "1kg")
GB = ("32GB", "64GB", "128GB", "256GB")
PIECES = ("10 pcs", "20 pcs", "50 pcs")


@dataclass(frozen=True, slots=True)
class Good:
    """A sort of thing: its shape, its name in English and Indonesian, and what it comes in."""

    shape: str
    english: str
    indonesian: str
    variants: Variants
    sizes: tuple[str, ...] = ("",)


GOODS = (
    Good("bottle", "shampoo", "sampo", SCENTS, ML), Good("bottle", "body lotion", "losion badan", SCENTS, ML),
    Good("pump", "hand soap", "sabun cuci tangan", SCENTS, ML), Good("pump", "serum", "serum wajah", SCENTS, ML),
    Good("sauce", "syrup", "sirup", TASTES, ML), Good("sauce", "chili sauce", "saus sambal", TASTES, ML),
    Good("jar", "face cream", "krim wajah", SCENTS, GRAM), Good("jar", "jam", "selai", TASTES, GRAM),
    Good("jar", "cookies", "kue kering", TASTES, GRAM), Good("can", "soda", "minuman soda", TASTES, ML),
    Good("can", "milk coffee", "kopi susu", TASTES, ML), Good("tin", "powder milk", "susu bubuk", TASTES, GRAM),
    Good("tin", "wood paint", "cat kayu", COLOURS, GRAM), Good("tube", "toothpaste", "pasta gigi", SCENTS, GRAM),
    Good("tube", "facial wash", "sabun muka", SCENTS, ML), Good("spray", "deodorant", "deodoran", SCENTS, ML),
    Good("spray", "air freshener", "pengharum ruangan", SCENTS, ML), Good("mug", "ceramic mug", "gelas keramik", COLOURS),
    Good("tumbler", "tumbler", "botol minum", COLOURS, ML), Good("lamp", "desk lamp", "lampu meja", COLOURS, ("5W", "9W", "12W")),
    Good("bulb", "LED bulb", "bohlam LED", COLOURS, ("3W", "5W", "9W", "12W", "18W")),
    Good("lipstick", "lip cream", "lipstik", COLOURS), Good("planter", "plant pot", "pot tanaman", COLOURS, ("12cm", "18cm", "24cm")),
    Good("vase", "flower vase", "vas bunga", COLOURS), Good("candle", "scented candle", "lilin aromaterapi", SCENTS, GRAM),
    Good("tall box", "cereal", "sereal", TASTES, GRAM), Good("tall box", "tea", "teh celup", TASTES, PIECES),
    Good("carton", "juice", "jus buah", TASTES, ML), Good("carton", "UHT milk", "susu UHT", TASTES, ML),
    Good("flat box", "soap bar", "sabun batang", SCENTS, GRAM), Good("flat box", "biscuit", "biskuit", TASTES, GRAM),
    Good("cube box", "earphone TWS", "headset bluetooth", COLOURS), Good("cube box", "face mask", "masker", COLOURS, PIECES),
    Good("flat box", "vitamin C", "suplemen vitamin C", TASTES, PIECES), Good("book", "notebook", "buku tulis", COLOURS, ("A5", "B5", "A4")),
    Good("pouch", "chips", "keripik", TASTES, GRAM), Good("pouch", "coffee powder", "kopi bubuk", TASTES, GRAM),
    Good("pouch", "detergent", "deterjen", SCENTS, GRAM), Good("shirt", "T-shirt", "kaos", COLOURS),
    Good("shirt", "jersey", "kaos olahraga", COLOURS), Good("hoodie", "hoodie", "jaket hoodie", COLOURS),
    Good("trousers", "jogger pants", "celana panjang", COLOURS), Good("dress", "midi dress", "gamis", COLOURS),
    Good("cap", "baseball cap", "topi", COLOURS), Good("shoe", "sneakers", "sepatu", COLOURS),
    Good("bag", "tote bag", "tas wanita", COLOURS), Good("backpack", "backpack", "tas ransel", COLOURS),
    Good("headphones", "headphones", "headphone", COLOURS), Good("phone", "smartphone", "hp android", COLOURS, GB),
    Good("phone", "phone case", "casing hp", COLOURS), Good("watch", "watch", "jam tangan", COLOURS),
    Good("glasses", "sunglasses", "kacamata", COLOURS), Good("drive", "flash drive", "flashdisk", COLOURS, GB),
    Good("power bank", "power bank", "powerbank", COLOURS, ("5000mAh", "10000mAh", "20000mAh")),
    Good("pan", "frying pan", "wajan teflon", COLOURS, ("20cm", "24cm", "28cm")),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Product:
    """One product. Members of a family share `good`, `brand`, `code`, `base` and `design`, and nothing else surely."""

    good: Good
    brand: str
    code: str
    variant: str
    size: str
    base: Colour
    design: int

    @property
    def accent(self) -> Colour:
        """The colour of the variant."""
        return self.good.variants[self.variant][1]


def draw_family(seed: int, number: int) -> list[Product]:
    """The 1 to 4 products of one family: hard negatives of each other. The same for the same arguments, always."""
    rng = np.random.default_rng([seed, number])
    good = GOODS[rng.integers(len(GOODS))]
    variants, sizes = rng.permutation(list(good.variants)), rng.permutation(good.sizes)
    differ_in_size, differ_in_variant = (len(sizes) > 1, False) if rng.random() < 0.4 else (rng.random() < 0.3, True)
    differ_in_variant |= len(sizes) == 1
    count = min(int(rng.choice(4, p=(0.5, 0.25, 0.15, 0.1))) + 1, len(variants) if differ_in_variant else len(sizes))
    code = "".join(rng.choice(list("ABDGKMRSTVXZ"), 2)) + str(rng.integers(2, 99) * int(rng.choice([1, 10, 5])))
    base = good.variants[str(rng.choice(variants))][1] if rng.random() < 0.4 else _pleasant(rng)
    brand, design = brand_name(int(rng.integers(700))), int(rng.integers(2**31))
    return [
        Product(good, brand, code, str(variants[i * differ_in_variant]), str(sizes[i * differ_in_size % len(sizes)]), base, design)
        for i in range(count)
    ]  # fmt: skip


def brand_name(number: int) -> str:
    """A made-up name, always the same for the same number."""
    rng = np.random.default_rng([11, number])
    syllables = rng.choice("ka lu mo ren vi sta bri no ze fa dri qua pel ti nor ha sol ve mi ja ro gan wi xo lar dul".split(), 3)
    return "".join(syllables[: 2 + (number % 3 > 0)]).capitalize() + ("", "", "x", "n", "s")[number % 5]


def _pleasant(rng: np.random.Generator) -> Colour:
    """A colour of any hue that a pack designer might take."""
    hue, saturation, value = rng.random() * 6, rng.uniform(0.15, 0.85), rng.uniform(0.45, 0.97)
    red, green, blue = (value * (1 - saturation * np.clip(abs((hue + k) % 6 - 3) - 1, 0, 1)) for k in (3, 1, 5))
    return int(red * 255), int(green * 255), int(blue * 255)

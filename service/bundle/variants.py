"""What two titles contradict each other in: amounts, counts and model codes that a person sees at once."""

import re
from collections.abc import Mapping
from functools import lru_cache

from service.bundle.title import normalise_title

# Of each unit: what it measures, how many of the first unit of its kind it is, and how it is written.
_TABLE = """
ml 1 ml cc mililiter milliliter millilitre
ml 10 cl
ml 1000 l lt ltr liter litre liters litres
ml 29.5735 floz
g 0.001 mg
g 1 g gr gram grams gm gms
g 1000 kg kgs kilo kilogram
g 28.3495 oz ounce ounces
g 453.592 lb lbs pound pounds
gb 0.001 mb
gb 1 gb
gb 1000 tb
inch 1 inch inches inci "
mm 1 mm
mm 10 cm
w 1 w watt watts
w 1000 kw
v 1 v volt volts
mah 1 mah
mah 1000 ah
hz 1 hz
hz 1e9 ghz
mp 1 mp megapixel megapixels
pcs 1 pcs pc piece pieces pack packs pk ct count sachet sachets tablet tablets capsule capsules lembar sheets butir biji
"""
_UNITS: Mapping[str, tuple[str, float]] = {
    name: (kind, float(factor))
    for kind, factor, *names in map(str.split, _TABLE.strip().splitlines())
    for name in names
}
_SMALL = frozenset({"ml", "g", "gr", "gram", "mg", "mah"})
_NUMBER = r"(?<![\w.,-])\d+(?:[.,]\d+)*"
_UNIT = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_AMOUNT = re.compile(rf"(?P<value>{_NUMBER})[ -]?(?P<unit>{_UNIT})(?!\w)")
# "2 x 250 ml", "250 ml x 2"; "isi 10" (Indonesian), "pack of 10", "set of 4".
_COUNT = re.compile(
    r"(?<![\w.,-])(\d{1,3}) ?[x×] ?(?=\d+(?:[.,]\d+)* ?[a-z])|(?<=[a-z ])[x×] ?(\d{1,3})(?!\w)"
    r"|\b(?:isi|pack of|set of|box of) ?(\d{1,4})(?!\w)"
)
_CODE = re.compile(r"\b(?:[a-z]+\d|\d+[a-z]+\d)[a-z\d]*\b")
_CLOSE = 0.005  # two shops' roundings of one amount: 16 oz, 453 g

Amounts = Mapping[str, Mapping[float | str, str]]  # per kind, what was found and how it was written


def variant_conflict(a: str | None, b: str | None) -> tuple[str, ...]:
    """
    What contradicts in two titles, as "500 ml / 250 ml"; empty where nothing does or a title is missing.

    A kind of amount contradicts where each title has one that the other lacks: a title that says less contradicts
    nothing. Apparel sizes and bare numbers are no amounts. Model codes contradict where they differ in their digits
    alone (WH-1000XM3, WH-1000XM4); sellers' own codes look otherwise.

    >>> variant_conflict("Kopi susu 500ml", "Kopi Susu 0,25 L"), variant_conflict("Tea 1 kg", "Tea 1000 g, pack of 2")
    (('500ml / 0,25 l',), ())
    """
    return () if a is None or b is None else contradictions(read_variants(a), read_variants(b))


def contradictions(left: Amounts, right: Amounts) -> tuple[str, ...]:
    """The same of titles that were read already."""
    conflicts = []
    for kind in sorted(left.keys() & right.keys()):
        mine, theirs = _lacking(left[kind], right[kind]), _lacking(right[kind], left[kind])
        if mine and theirs:
            conflicts.append(f"{' + '.join(mine)} / {' + '.join(theirs)}")
    return tuple(conflicts)


@lru_cache(maxsize=4096)
def read_variants(title: str) -> Amounts:
    """Every amount, count and model code of a title, by kind."""
    text = normalise_title(title).casefold()
    found: dict[str, dict[float | str, str]] = {}
    for match in _AMOUNT.finditer(text):
        kind, factor = _UNITS[match["unit"]]
        found.setdefault(kind, {})[round(_number(match["value"], match["unit"]) * factor, 6)] = match.group()
    for match in _COUNT.finditer(text):
        found.setdefault("pcs", {})[float(next(filter(None, match.groups())))] = match.group().strip()
    for code in _CODE.findall(text):
        found.setdefault(re.sub(r"\d+", "#", code), {})[code] = code
    return found


def _number(text: str, unit: str) -> float:
    """
    Read "1,500", "1.500" and "1,5": three digits after a mark are thousands where the unit is small.

    >>> _number("1,500", "ml"), _number("1.500", "kg"), _number("1,5", "l"), _number("1.000.000", "g")
    (1500.0, 1.5, 1.5, 1000000.0)
    """
    *head, tail = re.split("[.,]", text)
    is_grouped = all(len(part) == 3 for part in (*head[1:], tail)) and (len(head) > 1 or "," in text or unit in _SMALL)
    return float("".join(head) + ("" if is_grouped or not head else ".") + tail)


def _lacking(mine: Mapping[float | str, str], theirs: Mapping[float | str, str]) -> list[str]:
    """What one side has, as it wrote it, and the other has not."""
    return [written for amount, written in mine.items() if not any(_same(amount, other) for other in theirs)]


def _same(a: float | str, b: float | str) -> bool:
    if isinstance(a, str) or isinstance(b, str):
        short, long = sorted((str(a), str(b)), key=len)
        return long == short or (len(short) > 2 and long.startswith(short))  # one shop cuts a code, another goes on
    return abs(a - b) <= _CLOSE * max(a, b)

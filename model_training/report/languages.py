"""Which languages titles are in, as far as letters and small words tell."""

import unicodedata
from collections import Counter

_WORDS = {
    "English": "the and for with of in by new set women men kids black white",
    "Indonesian or Malay": "dan untuk dengan yang isi anak warna murah terlaris grosir bisa baju susu sabun kopi",
    "German": "und für mit der die das aus ohne schwarz weiß damen herren",
    "French": "et pour avec le les des du sans noir blanc femme homme",
    "Spanish or Portuguese": "y e para con com el los las del do da sem mujer hombre preto negro",
}
_TELLING = {word: name for name, words in _WORDS.items() for word in words.split()}


def tell_language(title: str) -> str:
    """
    The language that most of its telling words belong to; of letters other than Latin, the script.

    >>> tell_language("Kaos anak warna putih"), tell_language("Kaffee für die Maschine"), tell_language("Кофе 250")
    ('Indonesian or Malay', 'German', 'Cyrillic letters')
    >>> tell_language("XT-250"), tell_language("250")
    ('Latin letters, no telling word', 'no letters')
    """
    scripts = Counter(unicodedata.name(letter, "unknown").split()[0] for letter in title if letter.isalpha())
    if not scripts:
        return "no letters"
    (script, _), *_ = scripts.most_common(1)
    if script != "LATIN":
        return f"{script.capitalize()} letters"
    found = Counter(_TELLING[word] for word in title.lower().split() if word in _TELLING)
    return found.most_common(1)[0][0] if found else "Latin letters, no telling word"

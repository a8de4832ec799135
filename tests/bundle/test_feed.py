"""The feed reader: every row becomes a posting or one reason, and a broken file is refused as a whole."""

from pathlib import Path

import pytest

from service.bundle.feed import BadRow, FeedError, FeedRow, FolderNeeded, decode_escaped, read_feed


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A pictures folder with a.jpg and b.jpg."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg"):
        (folder / name).write_bytes(b"\xff\xd8\xff")
    return folder


def feed(images: Path, content: str | bytes) -> list[FeedRow | BadRow]:
    path = images.parent / "postings.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_feed(path, images))


def test_kaggle_layout(images: Path) -> None:
    """Kaggle's file is read as it is; the hash it carries lands among the extra columns."""
    rows = feed(
        images,
        'posting_id,image,image_phash,title,label_group\ntrain_1,a.jpg,94974f,"Paper Bag, Victoria",249114794\n',
    )

    assert rows == [
        FeedRow(2, "train_1", images / "a.jpg", "Paper Bag, Victoria", "249114794", {"image_phash": "94974f"})
    ]


def test_our_layout(images: Path) -> None:
    """Our own columns are read, in any order and with Windows line ends."""
    rows = feed(images, "title,posting_id,image,category,label_group\r\nMug,m1,b.jpg,Home/Mugs,g\r\n")

    assert rows == [FeedRow(2, "m1", images / "b.jpg", "Mug", "g", {"category": "Home/Mugs"})]


def test_one_of_picture_and_title_is_enough(images: Path) -> None:
    """A posting may lack the picture or the title, also as a whole column, but not both."""
    both = feed(images, "posting_id,image,title\nm1,a.jpg,  \nm2,,Mug\nm3,, \n")
    titles = feed(images, "posting_id,title\nm1,Mug\n")

    assert both == [
        FeedRow(2, "m1", images / "a.jpg", None, None, {}),
        FeedRow(3, "m2", None, "Mug", None, {}),
        BadRow(4, "m3", "neither picture nor title"),
    ]
    assert titles == [FeedRow(2, "m1", None, "Mug", None, {})]


def test_pictures_at_urls(images: Path) -> None:
    """A cell that begins as an http or https URL is one, beside files; without a folder only a file is asked for it."""
    content = "posting_id,image\nm1,https://shop.example/a b.jpg?x=1\nm2, HTTP://x/../y \nm3,ftp://x/a.jpg\nm4,a.jpg\n"
    rows = feed(images, content)

    assert rows == [
        FeedRow(2, "m1", None, None, None, {}, "https://shop.example/a b.jpg?x=1"),
        FeedRow(3, "m2", None, None, None, {}, "HTTP://x/../y"),
        BadRow(4, "m3", "picture file missing: ftp://x/a.jpg"),
        FeedRow(5, "m4", images / "a.jpg", None, None, {}),
    ]
    without_folder = read_feed(images.parent / "postings.csv", None)
    assert [next(without_folder), next(without_folder)] == rows[:2]
    with pytest.raises(FolderNeeded, match=r"^row 4 names the picture file ftp://x/a\.jpg"):
        next(without_folder)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r"wait\xe2\x80\xa6 now", "wait… now"),
        (r"\xF0\x9F\x8D\x9C mie", "🍜 mie"),
        (r"b'Men\'s \xc3\xa9t\xc3\xa9'", "Men's été"),
        (r'b"Men\'s 5\" \\ \xe2\x9d\xa4"', "Men's 5\" \\ ❤"),
        (r"half \xe2\x80", r"half \xe2\x80"),
        (r"\xe2\x80\xa6\xff", r"…\xff"),
        (r"path\xylophone", r"path\xylophone"),
        ("b' left open", "b' left open"),
        ("bob's", "bob's"),
    ],
)
def test_escaped_bytes(written: str, meant: str) -> None:
    """Escaped bytes become the characters they spell; what spells nothing stays as written."""
    assert decode_escaped(written) == meant


def test_titles_are_decoded_and_ids_are_not(images: Path) -> None:
    """Only the title is decoded: an id means its bytes."""
    rows = feed(images, "posting_id,title\n\\xc3\\xa9,\\xc3\\xa9\n\"b'1'\",\"b'1'\"\n")

    assert rows == [FeedRow(2, r"\xc3\xa9", None, "é", None, {}), FeedRow(3, "b'1'", None, "1", None, {})]


def test_byte_order_mark(images: Path) -> None:
    """A byte order mark in front of the header is not part of the first column's name."""
    assert feed(images, "\ufeffposting_id,title\nm1,Mug\n".encode()) == [FeedRow(2, "m1", None, "Mug", None, {})]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"posting_id;title\nm1;Mug\n", "expected a comma between columns, found a semicolon"),
        (b"posting_id\ttitle\nm1\tMug\n", "found a tab"),
        ("posting_id,title\nm1,Mug\nm2,Café\n".encode("latin-1"), r"not UTF-8 \(byte 0xe9 in line 3\)"),
        ("posting_id,title\nm1,Mug\n".encode("utf-16"), "UTF-16"),
        (b"id,title\nm1,Mug\n", "expected columns posting_id and image or title, found id, title"),
        (b"posting_id,price\nm1,5\n", "found posting_id, price"),
        (b"posting_id,title,title\nm1,Mug,Cup\n", "'title' is there more than once"),
        (b"", "no header"),
    ],
)
def test_unreadable_file(images: Path, content: bytes, message: str) -> None:
    """A file that is wrong as a whole is refused before its first row, saying what was found."""
    path = images.parent / "postings.csv"
    path.write_bytes(content)

    with pytest.raises(FeedError, match=message):
        read_feed(path, images)


def test_missing_file_and_folder(images: Path) -> None:
    """A feed or a pictures folder that is not there is named."""
    path = images.parent / "postings.csv"

    with pytest.raises(FeedError, match=r"postings\.csv cannot be read: No such file"):
        read_feed(path, images)
    path.write_text("posting_id,image\nm1,a.jpg\n")
    with pytest.raises(FeedError, match="nowhere is not a folder"):
        read_feed(path, images / "nowhere")


def test_duplicate_posting_id(images: Path) -> None:
    """The first row of an id counts, each later one is reported; ids are compared as written."""
    rows = feed(images, "posting_id,title\n1,Mug\n1,Cup\n01,Bowl\n")

    assert rows == [
        FeedRow(2, "1", None, "Mug", None, {}),
        BadRow(3, "1", "posting_id is already in row 2"),
        FeedRow(4, "01", None, "Bowl", None, {}),
    ]


def test_bad_rows_do_not_stop_the_reading(images: Path) -> None:
    """Each bad row gives one reason with its row, and the rows after it are read."""
    long_name = "x" * 5000
    rows = feed(
        images,
        "posting_id,image,title\n"
        "m1,lost.jpg,Mug\n"
        "m2,a.jpg\n"
        ",a.jpg,Mug\n"
        "\n"
        "m3,../postings.csv,Mug\n"
        'm4,a.jpg,"Mug" blue\n'
        f"m5,{long_name},Mug\n"
        'm6,a.jpg,"two\nlines"\n'
        "m7,b.jpg,Mug\n",
    )

    assert rows == [
        BadRow(2, "m1", "picture file missing: lost.jpg"),
        BadRow(3, None, "expected 3 fields, found 2"),
        BadRow(4, None, "posting_id is blank"),
        BadRow(6, "m3", "picture file lies outside the pictures folder: ../postings.csv"),
        BadRow(7, None, "quoting is broken in lines 7 to 7: ',' expected after '\"'"),
        BadRow(8, "m5", f"picture file missing: {long_name}"),
        FeedRow(9, "m6", images / "a.jpg", "two\nlines", None, {}),
        FeedRow(10, "m7", images / "b.jpg", "Mug", None, {}),
    ]


def test_quote_left_open(images: Path) -> None:
    """A quote that is never closed is one bad row that says how far it reached, not a silent end."""
    rows = feed(images, 'posting_id,title\nm1,Mug\nm2,"Cup\nm3,Bowl\n')

    assert rows == [
        FeedRow(2, "m1", None, "Mug", None, {}),
        BadRow(3, None, "quoting is broken in lines 3 to 4: unexpected end of data"),
    ]

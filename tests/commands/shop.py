"""A feed with its pictures, as a shop would bring it."""

from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Shop:
    """A feed and its pictures."""

    folder: Path
    rows: list[str] = field(default_factory=lambda: ["posting_id,image,title,label_group,category,image_phash"])

    @property
    def csv(self) -> Path:
        return self.folder / "postings.csv"

    @property
    def images(self) -> Path:
        return self.folder / "pictures"

    def add(self, *rows: str) -> None:
        self.rows.extend(rows)
        self.csv.write_text("\n".join(self.rows) + "\n")


def small_shop(folder: Path) -> Shop:
    """A feed of three postings with two pictures."""
    shop = Shop(folder)
    shop.images.mkdir()
    (shop.images / "a.jpg").write_bytes(b"picture a")
    (shop.images / "b.jpg").write_bytes(b"picture b")
    shop.add(r"m1,a.jpg,Mug\xe2\x80\xa6,g1,Home/Mugs,9abc", "m2,b.jpg,,g1,,", "m3,,Bowl,g2,Home,")
    return shop


def no_fetch(url: str) -> "Future[bytes]":
    """For a feed whose pictures are files."""
    raise AssertionError(url)

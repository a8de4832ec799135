"""What a storefront writes to have duplicates found by Kembar."""

from kembar_client import Kembar


class Storefront:
    """Thread-safe, as a web framework's worker threads need it."""

    def __init__(self, address: str) -> None:
        self._kembar = Kembar(address)

    def add(self, posting_id: str, image: bytes | None, title: str | None) -> None:
        """Store a posting, in place of what was there."""
        self._kembar.put(posting_id, image=image, title=title)

    def matches(self, image: bytes | None, title: str | None) -> list[str]:
        """The ids of at most 50 postings that show the same product."""
        return [match.posting_id for match in self._kembar.match(image=image, title=title).matches]

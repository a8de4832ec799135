"""Multipart bodies written by hand, so that the odd ones can be written too."""

from collections.abc import Sequence
from dataclasses import dataclass

BOUNDARY = "kembar-test-boundary"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


@dataclass(frozen=True)
class Part:
    """One part; with `filename` it is a file."""

    name: str
    content: bytes
    filename: str | None = None
    headers: bytes = b""

    def render(self) -> bytes:
        """The part without its boundary."""
        filename = "" if self.filename is None else f'; filename="{self.filename}"'
        disposition = f'Content-Disposition: form-data; name="{self.name}"{filename}\r\n'.encode()
        return disposition + self.headers + b"\r\n" + self.content


def form(parts: Sequence[Part], closing: bytes = b"--\r\n") -> bytes:
    """The whole body."""
    delimiter = f"--{BOUNDARY}".encode()
    return b"".join(delimiter + b"\r\n" + part.render() + b"\r\n" for part in parts) + delimiter + closing


def content(image: bytes | None = None, **fields: str) -> bytes:
    """A body as browsers send it."""
    parts = [Part(name, text.encode()) for name, text in fields.items()]
    return form([*parts, Part("image", image, "a.jpg")] if image is not None else parts)

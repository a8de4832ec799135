"""SHA256SUMS: the seal over a bundle's files, made once by training and checked before anything is used."""

import hashlib
from pathlib import Path

from service.bundle.errors import DamagedBundle

SUMS = "SHA256SUMS"


def seal(directory: Path) -> None:
    """Write SHA256SUMS over every other file of the directory, one `digest  path` line a file, sorted by path."""
    lines = [f"{digest_of(directory / name)}  {name}\n" for name in sorted(_files(directory))]
    (directory / SUMS).write_text("".join(lines), encoding="utf-8")


def verify_seal(directory: Path) -> dict[str, str]:
    """
    Check that the directory holds exactly the sealed files, unchanged; return their digests by relative path.

    Raises DamagedBundle, which names the file, what was expected and what was found.
    """
    sums = directory / SUMS
    if not sums.is_file():
        raise DamagedBundle(f"{sums}: expected the bundle's checksums, found no such file; is this a bundle directory?")
    expected = _read_sums(sums)
    present = _files(directory)
    for name in sorted(expected.keys() | present):
        if name not in present:
            raise DamagedBundle(f"{directory / name}: listed in {SUMS} but missing; copy the whole bundle again")
        if name not in expected:
            raise DamagedBundle(f"{directory / name}: not listed in {SUMS}; a bundle holds nothing but its own files")
        if (found := digest_of(directory / name)) != expected[name]:
            raise DamagedBundle(f"{directory / name}: expected SHA-256 {expected[name]}, got {found}; copy it again")
    return expected


def _read_sums(sums: Path) -> dict[str, str]:
    expected: dict[str, str] = {}
    for number, line in enumerate(sums.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        digest, separator, name = line.partition("  ")
        if len(digest) != 64 or not separator or name in expected:
            raise DamagedBundle(f"{sums}: line {number}: expected 64 hex digits, two spaces and a path named once")
        expected[name] = digest
    return expected


def _files(directory: Path) -> set[str]:
    """Regular files below the directory, SHA256SUMS left out; links are refused, so no path can lead outside."""
    paths = [path for path in directory.rglob("*") if path.is_symlink() or not path.is_dir()]
    for path in paths:
        if path.is_symlink() or not path.is_file():
            raise DamagedBundle(f"{path}: expected a regular file, found a link or a device")
    return {path.relative_to(directory).as_posix() for path in paths} - {SUMS}


def digest_of(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

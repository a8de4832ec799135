"""A process whose every fsync fails from a moment on: what the index then does, told on standard output."""

import ctypes
import errno
import platform
import struct
import sys
from pathlib import Path

import numpy as np

from index.errors import StorageFailed
from index.index import Index
from index.postings import Draft
from tests.index.oracle import DIMENSIONS, WEIGHTS, random_vectors

# System call numbers of seccomp, fsync and fdatasync.
NUMBERS = {"x86_64": (317, 74, 75), "aarch64": (277, 82, 83)}
VECTORS = random_vectors(np.random.default_rng(1), ("title",), DIMENSIONS)


def fail_every_fsync() -> bool:
    """Have the kernel answer fsync and fdatasync with EIO, in all threads and for good; False where it cannot."""
    if platform.machine() not in NUMBERS:
        return False
    seccomp, *denied = NUMBERS[platform.machine()]
    load, jump_if_equal, answer = 0x20, 0x15, 0x06
    program = [(load, 0, 0, 0)]
    program += [(jump_if_equal, len(denied) - place, 0, number) for place, number in enumerate(denied)]
    program += [(answer, 0, 0, 0x7FFF0000), (answer, 0, 0, 0x00050000 | errno.EIO)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(code)))
    libc = ctypes.CDLL(None)
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    return libc.syscall(seccomp, 1, 1, header) == 0  # SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC


def outcome(index: Index, posting_id: str) -> str:
    try:
        index.put(Draft(posting_id, "mug", {}, VECTORS)).result(10)
    except StorageFailed:
        return "failed"
    return "acknowledged"


def main() -> None:
    """Argument: the directory."""
    index = Index.open(Path(sys.argv[1]), encoder_id="sha256:one", dimensions=DIMENSIONS, weights=WEIGHTS)
    said = [outcome(index, "before")]
    said.append("denied" if fail_every_fsync() else "unsupported")
    said += [outcome(index, "first"), outcome(index, "second")]
    said += [index.get("before").title or "", type(index.fault).__name__]
    index.close()
    sys.stdout.write(" ".join([*said, "closed"]))


if __name__ == "__main__":
    main()

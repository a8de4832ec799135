"""Power cuts: what the disk had not been told to keep is gone, and nothing acknowledged is."""

import fcntl
import os
import random
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from index.errors import EncoderMismatch
from tests.index.conftest import OpenIndex
from tests.index.killing import Ledger, write_until
from tests.index.moving import NEW, OLD, draft, expected, fill, mortal_moves, move, pictures_of, stored

EXT4_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2  # as if the power went: neither data nor journal are written out


class Ext4:
    """A file system of its own in a file, whose power can be cut."""

    def __init__(self, directory: Path) -> None:
        self.image = directory / "image"
        self.place = directory / "disk"
        self.place.mkdir()
        with self.image.open("wb") as stream:
            stream.truncate(64 << 20)

    def run(self, *command: str) -> bool:
        """Whether a command of the system succeeds."""
        try:
            return subprocess.run(command, capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            return False

    def mount(self) -> bool:
        """Start, with whatever the disk had kept."""
        return self.run("mount", "-o", "loop", str(self.image), str(self.place))

    def cut_power(self) -> None:
        """From now on nothing reaches the disk."""
        descriptor = os.open(self.place, os.O_RDONLY)
        fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        os.close(descriptor)

    def restart(self) -> None:
        """
        Come back after a cut, with a copy of what the disk had kept.

        Whatever made a mount namespace meanwhile, a browser's sandbox say, holds on to the dead file system; the same
        image mounted again would be that one again, and answer EIO.
        """
        dead = self.image
        self.image = dead.with_name(f"{dead.name}+")
        copied = self.run("umount", str(self.place)) and self.run("cp", "--sparse=always", str(dead), str(self.image))
        if not (copied and self.mount()):
            raise RuntimeError("the file system did not come back")
        dead.unlink()


@pytest.fixture
def ext4(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ext4]:
    """A mounted file system, where this user may mount one."""
    disk = Ext4(tmp_path_factory.mktemp("power"))
    if not (disk.run("mkfs.ext4", "-q", "-F", str(disk.image)) and disk.mount()):
        pytest.skip("cutting the power needs root, loop devices and mkfs.ext4")
    yield disk
    disk.run("umount", "--lazy", str(disk.place))


def lost_in(ext4: Ext4, open_index: OpenIndex, *, cuts: int, how: str) -> list[str]:
    """Write and cut the power, over and over; what was lost."""
    draws = random.Random(3)
    ledger = Ledger()
    lost = []
    for cut in range(cuts):
        write_until(
            ext4.place / "index",
            first_version=cut * 1_000_000,
            acknowledged=draws.randrange(20, 200),
            ledger=ledger,
            stop=ext4.cut_power,
            how=how,
        )
        ext4.restart()
        index = open_index(ext4.place / "index", accept_loss=how == "unsafe")
        lost += ledger.compare(index)
        index.close()
    return lost


def test_a_power_cut_loses_no_acknowledged_write(ext4: Ext4, open_index: OpenIndex) -> None:
    """What was acknowledged before the cut is there after it."""
    assert lost_in(ext4, open_index, cuts=4, how="safe") == []


def test_the_power_cut_would_show_a_loss(ext4: Ext4, open_index: OpenIndex) -> None:
    """The control: with SQLite's weaker `synchronous=NORMAL` the same cuts do lose acknowledged writes."""
    assert len(lost_in(ext4, open_index, cuts=3, how="unsafe")) > 3


def test_a_power_cut_in_a_reembed_leaves_the_old_index_or_the_new_one(ext4: Ext4) -> None:
    """Cut before each of the last steps of the move: one of the two is there, whole, and a second run gives the new."""
    place = ext4.place / "shop"
    with mortal_moves() as mortal:
        fill(place, range(4))
        steps = len(mortal(place, 99, None))
        for step in range(steps - 11, steps):
            shutil.rmtree(place)
            fill(place, range(4))
            before = stored(place, OLD)
            assert mortal(place, step, ext4.place) == []
            ext4.restart()
            with suppress(EncoderMismatch):
                assert stored(place, OLD) == before
                move(place)
            assert stored(place, NEW) == expected(before, pictures_of(*map(draft, range(4))))

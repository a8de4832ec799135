"""Numbers out of bytes, as AVIF and AV1 write them."""


class Reader:
    """Reads big-endian numbers of any number of bits, one after another; running out raises IndexError."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = memoryview(data)
        self._position_bits = 0

    @property
    def left_bytes(self) -> int:
        """How many whole bytes are still to be read."""
        return len(self._data) - -(-self._position_bits // 8)

    def bits(self, count: int) -> int:
        """The next `count` bits as an unsigned number."""
        start, self._position_bits = self._position_bits, self._position_bits + count
        if self.left_bytes < 0:
            raise IndexError
        covering = self._data[start // 8 : -(-self._position_bits // 8)]
        return int.from_bytes(covering) >> -self._position_bits % 8 & (1 << count) - 1

    def take(self, count: int) -> memoryview:
        """The next `count` bytes, uncopied; only where what was read before filled whole bytes."""
        start, self._position_bits = self._position_bits // 8, self._position_bits + 8 * count
        if self.left_bytes < 0:
            raise IndexError
        return self._data[start : start + count]

    def varint(self) -> int:
        """A number in seven bits a byte, lowest first, and a bit that says whether more come; at most ten bytes."""
        value = 0
        for shift in range(0, 70, 7):
            more = self.bits(1)
            value |= self.bits(7) << shift
            if not more:
                break
        return value

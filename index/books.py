"""Does the database hold what was acknowledged? The ledger and the high-water mark say."""

from dataclasses import replace
from pathlib import Path

from index.errors import RowsMissing
from index.store import Store
from index.table import Ledger

_CURE = "restore a backup, or start with --accept-loss to go on with what is there"


def check_database(database: Path, high_water: int | None) -> None:
    """Refuse to begin anew, and to have SQLite discard a log, where writes were acknowledged; raises RowsMissing."""
    if high_water and not database.exists():
        raise RowsMissing(f"expected {database.name} with {high_water} writes, got no such file; {_CURE}")


def check_high_water(store: Store, high_water: int | None) -> None:
    """
    Hold the database to the mark that was written after its last commit.

    Args:
        high_water: the last acknowledged sequence number, None where its file is new or damaged.

    Raises:
        RowsMissing: the database does not reach it.
    """
    sequence = store.ledger().sequence
    if high_water is not None and sequence < high_water:
        raise RowsMissing(
            f"expected the database to reach write {high_water}, got {sequence}: its last writes are missing "
            f"(was its -wal file lost, or an older copy put back?); {_CURE}"
        )


def check_ledger(store: Store, damaged: int) -> Ledger:
    """
    Hold the table to the ledger.

    Args:
        damaged: how many rows are quarantined; a damaged sequence number moves the sum, not the count.

    Returns:
        The ledger with damaged rows counted as they are now, so that their removal will add up.

    Raises:
        RowsMissing: acknowledged rows are gone, or older ones are back.
    """
    ledger, found = store.ledger(), store.recount()
    same_rows = found.sequence_sum == ledger.sequence_sum and found.sequence <= ledger.sequence
    if found.postings != ledger.postings or not (damaged or same_rows):
        raise RowsMissing(
            f"expected {ledger.postings} postings as of write {ledger.sequence}, got {found.postings} or other ones: "
            f"rows were lost or brought back behind the index; {_CURE}"
        )
    return replace(found, sequence=ledger.sequence)


def accepted_ledger(store: Store, high_water: int | None) -> Ledger:
    """The ledger that agrees with whatever the table holds, and never uses a sequence number again."""
    found = store.recount()
    return replace(found, sequence=max(store.ledger().sequence, high_water or 0, found.sequence))

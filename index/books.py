"""Does the database hold what was acknowledged? The ledger and the high-water mark say."""

from pathlib import Path

from index.errors import RowsMissing
from index.store import Ledger, Store

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


def check_ledger(store: Store, damaged: int) -> None:
    """
    Hold the table to the ledger.

    Args:
        damaged: how many rows are quarantined; a damaged sequence number moves the sum, not the count.

    Raises:
        RowsMissing: acknowledged rows are gone, or older ones are back.
    """
    ledger, found = store.ledger(), store.recount()
    if found.postings != ledger.postings or not (damaged or _agree(ledger, found)):
        raise RowsMissing(
            f"expected {ledger.postings} postings as of write {ledger.sequence}, got {found.postings} or other ones: "
            f"rows were lost or brought back behind the index; {_CURE}"
        )


def settle_ledger(store: Store) -> None:
    """Let the ledger count a damaged row as it is now, so that its removal will add up."""
    ledger, found = store.ledger(), store.recount()
    if not _agree(ledger, found):
        store.write_ledger(Ledger(ledger.sequence, found.postings, found.sequence_sum))


def accept_what_is_there(store: Store, high_water: int | None) -> None:
    """Make the ledger agree with the table, and never use a sequence number again."""
    found = store.recount()
    sequence = max(store.ledger().sequence, high_water or 0, found.sequence)
    store.write_ledger(Ledger(sequence, found.postings, found.sequence_sum))


def _agree(ledger: Ledger, found: Ledger) -> bool:
    return found.sequence_sum == ledger.sequence_sum and found.sequence <= ledger.sequence

"""The points at which a gateway is killed to prove that no money is lost, each with what must be true afterwards.

`mortal_gateway.py` is a `farthing serve` that dies at one of them; those that only the outside can see (`OUTSIDE`) are
reached by a provider that answers so far and no further, and a `kill -9`. In flight without production costs the input
where it is a stream; of another answer nobody knows what was written, and its cost is unknown. Whatever the point:
after the next start each attempt whose beginning was journaled is in the ledger once, nothing else is, and the journal
is empty.
"""

from enum import StrEnum


class CrashPoint(StrEnum):
    """Where a process dies."""

    BEFORE_BEGIN = "before-begin"
    """The request was read; nothing is journaled and nothing was sent: there is no attempt."""
    BEGIN_TORN = "begin-torn"
    """Half of the begin line is written: as before it."""
    BEGUN = "begun"
    """The begin line is written and nothing was sent: in flight, without production."""
    DISPATCHED = "dispatched"
    """The provider has the request and has not answered: in flight, without production."""
    FIRST_OUTPUT = "first-output"
    """The client has the first output, or half a whole answer has come: in flight, less than a checkpoint old."""
    CHECKPOINT_TORN = "checkpoint-torn"
    """Half of a stream's first checkpoint is written: as before it."""
    CHECKPOINTED = "checkpointed"
    """A stream's checkpoint is written: in flight, billed to there and a second more."""
    BEFORE_SETTLE = "before-settle"
    """The provider's last event is here, its end line is not: in flight."""
    END_TORN = "end-torn"
    """Half of the end line is written: as before it."""
    SETTLED = "settled"
    """The end line is written, the store has nothing: exact."""
    SEGMENT_WANTED = "segment-wanted"
    """The end line needs a new journal segment, which is not made yet: in flight."""
    SEGMENT_MADE = "segment-made"
    """The new segment is made, and empty: in flight."""
    STORE_INSERTED = "store-inserted"
    """The store's transaction has the attempts and not their totals: exact."""
    STORE_COMMITTING = "store-committing"
    """The transaction is complete and not committed: exact."""
    STORE_COMMITTED = "store-committed"
    """It is committed, the ledger has not heard, the journal has everything still: exact."""
    LEASING = "leasing"
    """A lease of a budget is written and not committed: nothing is held and nothing was sent."""
    LEASED = "leased"
    """It is committed, the process has not heard: the same, and the dead process's lease stands in the store."""
    MIGRATION_COPYING = "migration-copying"
    """The copy that is made before a migration is half written: the old tables stand."""
    MIGRATING = "migrating"
    """The tables are changed and nothing is committed: the old tables stand."""
    MIGRATED = "migrated"
    """The new tables are committed, the journal was not looked at."""
    RECOVERING = "recovering"
    """What an earlier crash left is inserted and not committed."""
    RECOVERED = "recovered"
    """It is committed, the journal's files are not removed."""
    DRAINING = "draining"
    """A signal came, answers are let end: in flight."""
    CLOSING = "closing"
    """Every answer ended; the ledger begins to post what is queued: exact."""
    CLOSE_COMMITTING = "close-committing"
    """Its last transaction is complete and not committed: exact."""
    CLOSED = "closed"
    """Everything is posted, the store is not closed: exact."""


OUTSIDE = frozenset({CrashPoint.DISPATCHED, CrashPoint.FIRST_OUTPUT, CrashPoint.DRAINING})
"""Points that a test reaches with a provider and a signal."""

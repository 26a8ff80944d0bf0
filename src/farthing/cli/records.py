"""What `--json` and `--csv` print: the ledger's records, with the cost under the names that programs are promised."""

from farthing.ledger.reports import Record, attempt_record, call_record, costs_record
from farthing.types.calls import Attempt
from farthing.types.ledger import CallLine, CostsBy, CostsRow


def costs_as_data(row: CostsRow, by: CostsBy) -> Record:
    """Return a row of costs; a sum over nothing that is known is unknown (`None`), not 0."""
    record = _renamed(costs_record(row, by))
    return {**record, "usd": None, "nanousd": None} if nothing_known(row) else record


def call_as_data(line: CallLine) -> Record:
    """Return a call's line."""
    return _renamed(call_record(line))


def attempt_as_data(attempt: Attempt) -> Record:
    """Return all that is known of an attempt, flat."""
    return _renamed(attempt_record(attempt))


def nothing_known(row: CostsRow) -> bool:
    """Whether the row is silent about the cost of all its attempts."""
    return row.attempts > 0 and row.unknown_cost_attempts == row.attempts


def _renamed(record: Record) -> Record:
    """`usd` is exact text with nine decimals, `nanousd` the same as a whole number."""
    return {_NAMES.get(name, name): value for name, value in record.items()}


_NAMES = {"cost_usd": "usd", "cost_nanousd": "nanousd"}

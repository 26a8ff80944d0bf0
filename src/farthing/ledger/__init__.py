"""What was spent, on what, for whom: the only writer of money.

An attempt is begun in the journal before its first byte goes upstream and settled there before the answer's last byte
reaches the client; the store follows in batches. `journal.py` writes, `journal_reader.py` reads, `recovery.py` posts
what a dead process left, `ledger.py` holds the live end of it, `reports.py` and `verify.py` look at what came of it.
What is told of a time stands in `spending_report.py`, `chargeback.py`, `exports/` and `reconciliation/`: they ask the
store for sums and change nothing.

It refuses to guess prices (it is told costs) and to call anybody: it takes what the gateway says and proves that all of
it arrived once.
"""

from farthing.ledger.ledger import Ledger

__all__ = ["Ledger"]

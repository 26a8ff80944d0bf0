"""The ledger for other programs: attempts and sums, page by page, as CSV, JSON or rows of FOCUS.

Nothing here holds more than a page: ten million lines go through as one does.
"""

"""Which models exist, what they can do, and what they cost.

The price list is a snapshot compiled at build time (`tools/compile_prices.py`) under `data/prices/`, one file per
provider, read when that provider is first asked about. This room answers `None` where it does not know; it never
guesses a price, never fetches one while serving, and calls no model.
"""

"""The ledger against a provider's own figures: how much of what it billed went through us, and where the two differ.

`formats.py` knows what providers' exports look like, `readers.py` opens files, `compare.py` puts both sides beside each
other. A provider's figures are not taken for the truth: what they leave out is left out of the comparison.
"""

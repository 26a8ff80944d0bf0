"""What the rooms pass to one another: frozen data and protocols, no I/O, nothing that decides.

A string that has been checked becomes a `ModelRef`, an amount becomes nanodollars, a key becomes a `Secret`.
"""

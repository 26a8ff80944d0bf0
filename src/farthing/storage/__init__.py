"""Where we keep things: the ledger's attempts and the keys we issued.

The only room that speaks SQL. `protocols.py` says what every store can do; each backend is a folder beside it, none
knows another, and one contract suite runs over all of them. A store decides nothing: it keeps what it is given, once,
and adds it up.
"""

"""How do people learn of what happened, each thing once?

`notifier` carries facts from the store's outbox to channels, `words` puts them into sentences; each kind of channel has
a file. What happened is found elsewhere (`ledger/alerts.py`, and the store itself, where a charge passes a threshold).
"""

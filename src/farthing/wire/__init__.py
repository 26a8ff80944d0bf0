"""How bytes on the wire are read and written: one file per wire format, pure, with no I/O.

`peek` reads what we must know of a request without decoding the rest; each format's meter reads usage while an answer
flows by. Nothing here knows a provider, a price or a client.
"""

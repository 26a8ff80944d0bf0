"""A store that forgets: for tests, the simulator and the demo.

It keeps plain Python objects and adds them up anew for every question, which makes it the readable specification that
the SQL is compared with.
"""

from farthing.storage.memory.store import MemoryStore

__all__ = ["MemoryStore"]

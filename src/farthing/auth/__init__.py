"""Who is calling: keys that we issue.

`keys.py` knows what a key looks like and how it is hashed; `known_keys.py` holds those that count now and answers in
microseconds; `key_ring.py` makes and changes them. It refuses to know a key again: what was issued is shown once, and
only its HMAC is kept.
"""

from farthing.auth.key_ring import KeyRing
from farthing.auth.keys import load_pepper, new_token

__all__ = ["KeyRing", "load_pepper", "new_token"]

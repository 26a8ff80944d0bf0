"""The upstream HTTP/1.1 client: sends a finished request head and body, hands back the answer as it arrives.

It keeps connections alive, bounds everything a provider can make us hold, and tells from an error whether the provider
can have seen the request. It does not build heads, follow redirects, decode bodies, or send anything twice: a request
whose bytes were handed to the kernel may have been billed, so trying again is the caller's decision.
"""

from farthing.providers.pool.answer import Answer, Sink
from farthing.providers.pool.dial import Connect, Dialer
from farthing.providers.pool.failures import nothing_sent
from farthing.providers.pool.held import HeldBodies
from farthing.providers.pool.origin import Origin, PoolLimits, Timeouts
from farthing.providers.pool.pool import Pool, PoolStats
from farthing.providers.pool.post import Poster
from farthing.providers.pool.proxies import Proxies

__all__ = [
    "Answer",
    "Connect",
    "Dialer",
    "HeldBodies",
    "Origin",
    "Pool",
    "PoolLimits",
    "PoolStats",
    "Poster",
    "Proxies",
    "Sink",
    "Timeouts",
    "nothing_sent",
]

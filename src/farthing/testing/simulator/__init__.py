"""Does the whole gateway keep its books whatever happens, in whatever order? One seed asks, and asks the same again.

`simulate(seed)` draws a schedule (who calls when, how providers answer, what breaks), plays it with the real gateway on
a virtual clock and an event loop without sockets, threads or waiting, and compares the ledger with what the fake
providers know that they produced. What it finds is a list of sentences; the seed alone replays it, to the last byte.

It refuses to judge what a kernel does: partial writes of real sockets, threads that race, a disk that lies. Those are
the business of the tests with real processes.
"""

from farthing.testing.simulator.run import Result, simulate

__all__ = ["Result", "simulate"]

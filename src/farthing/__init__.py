"""Farthing: a gateway that spends the least that gets the job done, and can prove it.

Importing this package costs next to nothing: every room is imported by whoever needs it. `farthing.app.Farthing`
puts the house together; `docs/architecture.md` draws it.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"

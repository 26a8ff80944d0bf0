"""How marks of ours begin that stand in the place of signatures, and whose clients are given any.

Told apart from what makes and reads them, so that a call that is passed through can be looked at for a mark without
importing a translator.
"""

from farthing.types.providers import WireFormat

MARK = "farthing."
MARK_IN_BODY = b'"farthing.'
MARKED_FORMATS: frozenset[WireFormat] = frozenset({"anthropic_messages", "openai_responses"})
"""Formats whose clients get a mark where there is no signature that they could send back."""

"""How large a context a local model is asked for, so that it is not loaded anew for every other call.

Ollama loads a model again whenever another size is asked for, and forgets all that it had read. Calls of all sizes come
in turns (an agent's titles between its long conversation), and our estimate of one that grows goes down at times; so a
model keeps the largest size asked for until it has rested for so long that Ollama has let go of it anyway.
"""

from collections import OrderedDict

from farthing.clock import Clock
from farthing.types.models import ModelRef

KEEP_S = 300.0
"""Ollama's own `keep_alive`."""
MAX_MODELS = 256
"""Far more than fit in any machine's memory; the longest unused are forgotten."""


class Contexts:
    """The sizes of the models that were asked of late."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sizes: OrderedDict[ModelRef, tuple[int, float]] = OrderedDict()

    def at_least(self, ref: ModelRef, tokens: int) -> int:
        """Return the tokens to make room for: those of a call, or of a larger one that the model has just had."""
        now_s = self._clock.monotonic()
        size, until_s = self._sizes.pop(ref, (0, now_s))
        if until_s > now_s:
            tokens = max(tokens, size)
        self._sizes[ref] = tokens, now_s + KEEP_S
        if len(self._sizes) > MAX_MODELS:
            self._sizes.popitem(last=False)
        return tokens

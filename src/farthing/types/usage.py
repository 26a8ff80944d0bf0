"""How much a model read and wrote, in one shape for every provider.

Names follow OpenTelemetry's GenAI conventions. Totals are inclusive: `input_tokens` counts everything the model read,
cached or not, and `output_tokens` everything it wrote, reasoning included. The `cache_*` and `input_*_tokens` fields
are parts of `input_tokens`; `reasoning_output_tokens` and the `output_*_tokens` of a modality are parts of
`output_tokens`. A total that the provider did not report is `None`, never 0.
"""

from typing import Literal

import msgspec

UsageFlag = Literal[
    "cache_exceeds_input",  # the cache classes add up to more than the input they are parts of
    "cache_classes_overlap",  # the same tokens are reported as read and as written
    "reasoning_exceeds_output",  # more reasoning than output
    "negative_count",  # a count below zero was left out
    "zero_beside_output",  # a count of 0 beside an answer that is not empty was not believed
    "malformed_count",  # a count that is no number was left out
    "total_disagrees",  # the reported total is not what its parts add up to
    "server_tools_unpriced",  # the provider's own tools ran whose fees we do not know; the cost leaves those out
]


class UsageHabits(msgspec.Struct, frozen=True, kw_only=True):
    """How the usage that a provider reports differs from what its format means.

    `reasoning_outside`: the output's count leaves reasoning out (xAI: 77 written, 256 reasoned, 496 read, 829 in all).
    `hidden_in_total`: some tokens are in the total only, and are these: Mistral's sound that was heard (16 read, 2
    written, 393 in all) or the thinking that Gemini's OpenAI-compatible address writes (35, 12, 109).
    """

    reasoning_outside: bool = False
    hidden_in_total: Literal["input_audio", "reasoning"] | None = None


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Tokens and fees of one attempt; parts are inclusive, unknown totals are `None`."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int = 0
    cache_creation_5m_input_tokens: int = 0
    cache_creation_1h_input_tokens: int = 0
    input_audio_tokens: int = 0
    cache_read_audio_tokens: int = 0
    reasoning_output_tokens: int = 0
    output_audio_tokens: int = 0
    input_image_tokens: int = 0
    output_image_tokens: int = 0
    web_search_requests: int = 0
    flags: tuple[UsageFlag, ...] = ()

    @property
    def known(self) -> bool:
        """Whether both totals were reported."""
        return self.input_tokens is not None and self.output_tokens is not None

    @property
    def cache_creation_input_tokens(self) -> int:
        """Tokens written to the provider's prompt cache, whatever their lifetime."""
        return self.cache_creation_5m_input_tokens + self.cache_creation_1h_input_tokens


NO_PARTS = msgspec.structs.astuple(Usage())[2:-1]
"""`astuple(usage)[2:-1]` where all is in the two totals: asked like this, where every call passes, it takes a third of
the time that it takes to look at the fields."""

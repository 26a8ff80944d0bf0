"""The size of a local model's context, which is asked for again until the model has rested."""

from farthing.gateway.contexts import KEEP_S, MAX_MODELS, Contexts
from farthing.types.models import ModelRef

QWEN, LLAMA = ModelRef("local", "qwen3:8b"), ModelRef("local", "llama3:8b")


class SetClock:
    def __init__(self) -> None:
        self.s = 0.0

    def now_us(self) -> int:
        return int(self.s * 1_000_000)

    def monotonic(self) -> float:
        return self.s


def test_a_small_call_between_large_ones_does_not_load_the_model_anew() -> None:
    contexts = Contexts(SetClock())
    assert [contexts.at_least(QWEN, tokens) for tokens in (5_000, 20_000, 900, 19_000)] == [
        5_000,
        20_000,
        20_000,
        20_000,
    ]
    assert contexts.at_least(LLAMA, 900) == 900


def test_each_call_keeps_the_size_and_a_rest_ends_it() -> None:
    clock = SetClock()
    contexts = Contexts(clock)
    contexts.at_least(QWEN, 20_000)
    clock.s = KEEP_S - 1
    assert contexts.at_least(QWEN, 900) == 20_000
    clock.s += KEEP_S - 1
    assert contexts.at_least(QWEN, 900) == 20_000
    clock.s += KEEP_S
    assert contexts.at_least(QWEN, 900) == 900


def test_models_that_are_long_unused_are_forgotten() -> None:
    contexts = Contexts(SetClock())
    contexts.at_least(QWEN, 20_000)
    for number in range(MAX_MODELS):
        contexts.at_least(ModelRef("local", f"m{number}"), 900)
    assert contexts.at_least(QWEN, 900) == 900

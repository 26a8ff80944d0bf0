"""Which model, at which provider."""

import msgspec


class ModelRef(msgspec.Struct, frozen=True, cache_hash=True):
    """A resolved model: `provider` is a configured provider's name, `model` the name sent to it, verbatim."""

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}:{self.model}"


class ListedModel(msgspec.Struct, frozen=True):
    """One row of a list of models: the name that a client sends (`id`), and what it stands for."""

    id: str
    ref: ModelRef

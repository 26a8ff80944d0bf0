"""Who is calling, and what the key allows.

A principal is looked at in every call, and what is made of it is remembered by it, so its hash is kept
(`cache_hash`) and most keys, which have no rules, pay one comparison with `None`.
"""

from typing import Literal, get_args

import msgspec

FaceName = Literal["openai", "anthropic", "gemini", "ollama"]
FACE_NAMES: tuple[FaceName, ...] = get_args(FaceName)
FixedName = Literal["project", "user", "session", "task", "tags"]
"""A name that clients say in headers, unless their key fixes it."""
FIXED_NAMES: tuple[FixedName, ...] = get_args(FixedName)


class KeyRules(msgspec.Struct, frozen=True, gc=False):
    """What a key may be used for.

    `bound_model` is used whatever the client asks for. `models` are names as a client would send them, aliases too, or
    patterns of `provider:model` in which `*` stands for any text; `faces` are names of faces. Empty is no rule.
    """

    bound_model: str | None = None
    models: tuple[str, ...] = ()
    faces: tuple[str, ...] = ()

    @property
    def about_models(self) -> bool:
        """Whether they say anything of models."""
        return self.bound_model is not None or bool(self.models)


class Principal(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """The owner of a verified client key; what a call is attributed to before the client says more."""

    key_id: str
    key_name: str
    organisation: str = "default"
    team: str | None = None
    project: str | None = None
    user: str | None = None
    session: str | None = None
    task: str | None = None
    branch: str | None = None
    pull_request: str | None = None
    tags: str | None = None
    """Comma separated; what the client says is added to them."""
    rules: KeyRules | None = None
    fixed: tuple[FixedName, ...] = ()
    """Of these the key's own count, whatever a client says; also where the key says none."""

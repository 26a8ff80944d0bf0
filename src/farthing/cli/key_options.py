"""The options by which a key is described, when it is made and when it is changed."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast

import click
import msgspec

from farthing.types.principal import FACE_NAMES, FIXED_NAMES

if TYPE_CHECKING:
    from farthing.auth.key_forms import KeyFields
    from farthing.types.principal import FixedName

F = TypeVar("F", bound=Callable[..., object])

_OPTIONS = (
    click.option("--organisation", help="The organisation its calls are for; otherwise default."),
    click.option("--team", help="The team its calls are for."),
    click.option("--project", help="The project its calls are for."),
    click.option("--user", help="The user its calls are for."),
    click.option("--tags", metavar="A,B", help="Tags of all its calls, beside those that a client sends."),
    click.option(
        "--fixed",
        metavar="A,B",
        help=f"Names that no client may override: {', '.join(FIXED_NAMES)}; or none.",
    ),
    click.option("--bind", metavar="MODEL", help="Use this model or alias, whatever a client asks for."),
    click.option(
        "--model",
        "models",
        multiple=True,
        metavar="MODEL",
        help="Allow this model only: a name, an alias, or a pattern such as openai:*. May be repeated.",
    ),
    click.option(
        "--format", "faces", multiple=True, type=click.Choice(FACE_NAMES), help="Allow these clients only; repeatable."
    ),
)


def key_options(command: F) -> F:
    """Give a command the options."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


class KeyOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the options were given; `None` and `()` where they were not."""

    organisation: str | None
    team: str | None
    project: str | None
    user: str | None
    tags: str | None
    fixed: str | None
    bind: str | None
    models: tuple[str, ...]
    faces: tuple[str, ...]

    def fields(self) -> "KeyFields":
        """Return what was given; an empty text takes away what is there."""
        given: KeyFields = {}
        if self.organisation is not None:
            given["organisation"] = self.organisation
        if self.team is not None:
            given["team"] = self.team or None
        if self.project is not None:
            given["project"] = self.project or None
        if self.user is not None:
            given["user"] = self.user or None
        if self.tags is not None:
            given["tags"] = _listed(self.tags)
        if self.fixed is not None:
            names = () if self.fixed.strip() == "none" else _listed(self.fixed)
            given["fixed"] = cast("tuple[FixedName, ...]", names)  # what is none of them is refused where it is kept
        if self.bind is not None:
            given["bound_model"] = self.bind or None
        if self.models:
            given["models"] = tuple(filter(None, self.models))
        if self.faces:
            given["faces"] = self.faces
        return given


def _listed(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (part.strip() for part in text.split(","))))

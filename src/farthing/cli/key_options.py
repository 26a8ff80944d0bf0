"""The options by which a key is described, when it is made and when it is changed."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast

import click
import msgspec

from farthing.cli.context import current_home, say
from farthing.errors import ConfigError
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
    click.option("--bind", metavar="MODEL", help="Use this model, alias or router, whatever a client asks for."),
    click.option(
        "--model",
        "models",
        multiple=True,
        metavar="MODEL",
        help="Allow this model only: a name, an alias, a router, or a pattern such as openai:*. May be repeated.",
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


def say_of_unknown(fields: "KeyFields") -> None:
    """Say so where a key was given a name that nothing has."""
    from farthing.catalog.nobodys_names import told_of_nobodys_names  # noqa: PLC0415  (not for --help)
    from farthing.catalog.prices import price_book  # noqa: PLC0415  (opens the database; not for --help)
    from farthing.cli.books import settings_that_hold  # noqa: PLC0415

    bound, models = fields.get("bound_model"), fields.get("models", ())
    if not bound and not models:
        return
    home = current_home()
    try:
        settings = settings_that_hold(home)[0]
    except ConfigError:  # the key is made all the same, and "farthing config check" says what is wrong
        return
    for sentence in told_of_nobodys_names(
        settings, price_book(settings.prices, home.prices), bound=bound, models=models
    ):
        say(sentence)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (part.strip() for part in text.split(","))))

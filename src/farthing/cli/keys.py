"""`farthing keys`: the keys that clients use. A key is shown once, when it is made; only its hash is kept."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from farthing.cli.complete import key_names
from farthing.cli.context import current_home, say
from farthing.cli.key_changes import delete, disable, edit, enable, expire, rename, revoke, rotate
from farthing.cli.key_options import KeyOptions, key_options, say_of_unknown
from farthing.cli.since import Ahead
from farthing.cli.tables import (
    WIDEST,
    Column,
    counted,
    fits,
    moment,
    print_fields,
    print_json,
    print_table,
    screen_width,
)
from farthing.storage.protocols import KeyRecord, Store

if TYPE_CHECKING:
    from farthing.auth import KeyRing


@click.group()
def keys() -> None:
    """Create, list, change, rotate and end the keys that clients use."""


@keys.command()
@click.argument("name", required=False)
@key_options
@click.option("--expires", type=Ahead(), help="When it ends by itself: 30d, 12h, 2027-01-31 (UTC). Otherwise never.")
@click.option("--json", "as_json", is_flag=True, help='Print {"id", "name", "key"}.')
def create(name: str | None, expires: int | None, as_json: bool, **options: Any) -> None:  # noqa: FBT001  (click's flag)
    """Make a key and print it: on stdout, this once."""
    from farthing.auth.key_forms import with_own_names_fixed  # noqa: PLC0415  (not for --help)
    from farthing.cli.books import make_key  # noqa: PLC0415  (opens the database; not for --help)

    fields = with_own_names_fixed(KeyOptions(**options).fields())
    record, secret = make_key(current_home(), lambda ring: ring.create(name, expires_at_us=expires, **fields))
    if as_json:
        print_json({"id": record.id, "name": record.name, "key": secret.reveal()})
    else:
        click.echo(secret.reveal())
        say(f"The key {record.name!r} ({record.id}). Keep it: it is not shown again.")
    say_of_unknown(fields)


@keys.command(name="list")
@click.option("--all", "every", is_flag=True, help="Also those that were made for a session which is over.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, of every key.")
def list_keys(every: bool, as_json: bool) -> None:  # noqa: FBT001  (click's flags)
    """List keys, revoked ones too, oldest first. The keys themselves are not kept."""
    from farthing.cli.books import read_store  # noqa: PLC0415  (opens the database; not for --help)

    records = read_store(current_home(), lambda store: store.keys())
    now_us = _now_us()
    over = [one for one in records if one.session is not None and one.state(now_us) in ("expired", "revoked")]
    if not (every or as_json):
        gone = {record.id for record in over}
        records = [record for record in records if record.id not in gone]
    if as_json:
        print_json([key_as_data(record, now_us) for record in records])
        return
    if not records:
        say('No keys yet; "farthing keys create" makes one.' if not over else _over(over))
        return
    print_keys(records, now_us)
    if over and not every:
        say(_over(over))


def print_keys(records: Sequence[KeyRecord], now_us: int, *, width: int | None = None) -> None:
    """Print a table; without the days and the ids, in this order, where these do not fit, and else folded.

    The models go last, where a screen has no room for them even so; `show` has all of it. Whom keys are for, and which
    models, are columns where any key says it.
    """
    cells = {
        "NAME": [one.name for one in records],
        "KEY": [f"{one.shown}..." for one in records],
        "ID": [one.id for one in records],
        "MADE": [_minute(one.created_at_us)[:10] for one in records],
        "STATE": [_state(one, now_us) for one in records],
        "FOR": [_owner(one) for one in records],
        "MODELS": [_models(one) for one in records],
    }
    for optional in ("FOR", "MODELS"):
        if not any(cells[optional]):
            del cells[optional]
    for dispensable in ("MADE", "ID"):
        if not fits(_columns(cells, whole=True), _rows(cells), width=width or screen_width() or WIDEST):
            del cells[dispensable]
    if "MODELS" in cells and not fits(_columns(cells), _rows(cells), width=width):
        del cells["MODELS"]
    print_table(_columns(cells), _rows(cells), width=width)


@keys.command()
@click.argument("key", metavar="ID_OR_NAME", shell_complete=key_names)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(key: str, as_json: bool) -> None:  # noqa: FBT001  (click's flag)
    """Show everything that is known of a key; the key itself is not."""
    from farthing.cli.books import change_keys, read_store  # noqa: PLC0415  (opens the database; not for --help)

    async def find(ring: "KeyRing") -> KeyRecord:
        return await ring.find(key)

    record = change_keys(current_home(), find)
    rules = read_store(current_home(), lambda store: _rules_about(store, record.id))
    now_us = _now_us()
    if as_json:
        print_json(key_as_data(record, now_us) | rules)
        return
    lists = rules | {"tags": record.tags, "models": record.models, "formats": record.faces, "fixed": record.fixed}
    print_fields(
        [
            ("name", record.name),
            ("id", record.id),
            ("key", f"{record.shown}..."),
            ("state", _state(record, now_us)),
            ("made", _when(record.created_at_us)),
            ("rotated", _when(record.rotated_at_us)),
            ("disabled", _when(record.disabled_at_us)),
            ("ends", _when(record.expires_at_us)),
            ("revoked", _when(record.revoked_at_us)),
            ("bound to", record.bound_model),
            *((name, ", ".join(values) or None) for name, values in lists.items()),
            *((name.replace("_", " "), getattr(record, name)) for name in _FOR_WHAT),
            *(
                ("also taken", f"{old.shown}... until {moment(old.ends_at_us)} UTC")
                for old in record.old_secrets
                if old.ends_at_us > now_us
            ),
        ]
    )


async def _rules_about(store: Store, key_id: str) -> dict[str, list[str]]:
    """Return the names of the budgets and limits that name the key; those for every key are not told with each."""
    budgets, limits = await store.budgets.all(), await store.limits.all()
    return {
        "budgets": [one.name for one in budgets if one.scope.key_id == key_id],
        "limits": [one.name for one in limits if one.target.scope.key_id == key_id],
    }


for _command in (edit, rename, rotate, enable, disable, expire, revoke, delete):
    keys.add_command(_command)


def key_as_data(record: KeyRecord, now_us: int) -> dict[str, Any]:
    """Return a key for programs: everything but its digests, and its state."""
    data = {name: getattr(record, name) for name in record.__struct_fields__ if name not in _NOT_TOLD}
    old = [{"shown": one.shown, "ends_at_us": one.ends_at_us} for one in record.old_secrets]
    return {**data, "old_secrets": old, "state": record.state(now_us)}


_NOT_TOLD = ("digest", "old_secrets", "deleted_at_us", "changed")
_LONGEST_MODEL = 25
"""Letters of a model's name that it has room for: `anthropic:claude-opus-4-*` goes in; `show` has longer ones."""
_LEAST = {"STATE": 17, "FOR": 20, "MODELS": _LONGEST_MODEL}
"""How narrow columns may become: `rotating until` above its moment, `bound to` above a whole model. With a key's first
letters and a fair name that makes 100."""
_FOR_WHAT = ("organisation", "team", "project", "user", "session", "task", "branch", "pull_request")


def _owner(record: KeyRecord) -> str:
    told = {"project": record.project, "team": record.team, "user": record.user}
    return ", ".join(f"{name} {value}" for name, value in told.items() if value)


def _models(record: KeyRecord) -> str:
    """Return what a key is bound to, or the first model that it is allowed and how many more; else nothing."""
    if record.bound_model is not None:
        return "bound" if len(record.bound_model) > _LONGEST_MODEL else f"bound to {record.bound_model}"
    if not record.models:
        return ""
    first, more = record.models[0], len(record.models) - 1
    if len(first) > _LONGEST_MODEL:
        return counted(more + 1, "model")
    return f"{first} and {more} more" if more else first


def _columns(cells: Mapping[str, Sequence[str]], *, whole: bool = False) -> list[Column]:
    return [Column(title, "left", None if whole else _LEAST.get(title)) for title in cells]


def _rows(cells: Mapping[str, Sequence[str]]) -> list[tuple[str, ...]]:
    return [*zip(*cells.values(), strict=True)]


def _state(record: KeyRecord, now_us: int) -> str:
    """Return the state and when it began, or when it will end, by the day."""
    state = record.state(now_us)
    if (until_us := record.rotating_until_us(now_us)) is not None:
        ends = "" if record.expires_at_us is None else f", ends {_minute(record.expires_at_us)}"
        return f"rotating until {_minute(until_us)}{ends}"
    match state:
        case "active":
            return state if record.expires_at_us is None else f"active until {_minute(record.expires_at_us)}"
        case "disabled":
            return f"disabled {_minute(record.disabled_at_us)}"
        case "expired":
            return f"expired {_minute(record.expires_at_us)}"
        case "revoked":
            return f"revoked {_minute(record.revoked_at_us)}"


def _minute(at_us: int | None) -> str:
    return "" if at_us is None else moment(at_us)[:16]


def _when(at_us: int | None) -> str | None:
    return None if at_us is None else f"{moment(at_us)} UTC"


def _over(over: list[KeyRecord]) -> str:
    return f'{counted(len(over), "key")} of sessions that are over not shown; "farthing keys list --all" shows them.'


def _now_us() -> int:
    from farthing.clock import SystemClock  # noqa: PLC0415  (not for --help)

    return SystemClock().now_us()

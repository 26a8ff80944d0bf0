"""What differs between two settings, and which of it a running gateway cannot take up."""

from collections.abc import Collection, Iterator, Mapping

import msgspec

from farthing.config.schema import ServerSettings, Settings

AT_START_ONLY = ("host", "port", "public_url")
"""Of `server`: the socket is open, and links and the host names of the admin's page were made when it was."""


_SHOWN_PRICES = 5
"""How many lost prices a log line names; a file may have a thousand."""


def changes(before: Settings, after: Settings) -> tuple[str, ...]:
    """Return what differs, a short text each, in the order of the file; the values of providers are not repeated."""
    return tuple(_changes(before, after))


def losses(before: Settings, after: Settings) -> tuple[str, ...]:
    """Return what `after` does not say any more of that which protects money: calls may go elsewhere, or unpriced.

    And lines of the ledger that are to be kept no longer: they do not come back.
    """
    return tuple(_losses(before, after))


def needs_restart(started: ServerSettings, now: ServerSettings, told: Collection[str] = ()) -> tuple[str, ...]:
    """Return what a gateway that was started with `started` would do otherwise if it started now.

    `told` are fields that the command line decides, whatever the file says.
    """
    return tuple(
        f"server.{name}: {_shown(getattr(started, name))} holds, {_shown(getattr(now, name))} needs a restart"
        for name in AT_START_ONLY
        if name not in told and getattr(started, name) != getattr(now, name)
    )


def _losses(before: Settings, after: Settings) -> Iterator[str]:
    if before.providers_named:
        gone = [name for name in before.providers if name not in after.providers]
        if gone:
            yield f"no provider {', '.join(gone)}"
        if not after.providers_named:
            yield "no provider is named, so those are used whose key is in the environment"
    priced = {price.pattern for price in after.prices}
    unpriced = [price.pattern for price in before.prices if price.pattern not in priced]
    if unpriced:
        more = f" and {len(unpriced) - _SHOWN_PRICES} more" if len(unpriced) > _SHOWN_PRICES else ""
        yield f"no price of your own for {', '.join(unpriced[:_SHOWN_PRICES])}{more}"
    kept = after.retention.calls_us
    if kept is not None and kept < (before.retention.calls_us or kept + 1):
        yield f"no calls that are older than {after.retention.calls}"
    if before.unpriced == "refuse" and after.unpriced != "refuse":
        yield f"unpriced: {after.unpriced}"


def _changes(before: Settings, after: Settings) -> Iterator[str]:
    for section in ("server", "log", "storage", "retention"):
        yield from _of_section(section, getattr(before, section), getattr(after, section))
    yield from _of_names("provider", before.providers, after.providers)
    yield from _of_names("alias", before.models, after.models)
    yield from _of_names("router", before.routers, after.routers)
    if before.prices != after.prices:
        yield f"{len(after.prices)} price{'' if len(after.prices) == 1 else 's'} of your own"
    if before.alerts.quiet_s != after.alerts.quiet_s:
        yield from _of_value("alerts.quiet_s", before.alerts.quiet_s, after.alerts.quiet_s)
    channels = ({one.name: one for one in settings.alerts.channels} for settings in (before, after))
    yield from _of_names("channel", *channels)
    reports = ({one.name: one for one in settings.alerts.reports} for settings in (before, after))
    yield from _of_names("report", *reports)
    if before.fixed_costs != after.fixed_costs:
        yield f"{len(after.fixed_costs)} fixed cost{'' if len(after.fixed_costs) == 1 else 's'}"
    for name in ("unpriced", "find_local", "prices_source"):
        yield from _of_value(name, getattr(before, name), getattr(after, name))


def _of_section(section: str, before: msgspec.Struct, after: msgspec.Struct) -> Iterator[str]:
    for name in before.__struct_fields__:
        yield from _of_value(f"{section}.{name}", getattr(before, name), getattr(after, name))


def _of_value(name: str, before: object, after: object) -> Iterator[str]:
    if before != after:
        yield f"{name}: {_shown(before)} -> {_shown(after)}"


def _of_names(what: str, before: Mapping[str, object], after: Mapping[str, object]) -> Iterator[str]:
    for name in (*before, *(name for name in after if name not in before)):
        if name not in after:
            yield f"{what} {name} removed"
        elif name not in before:
            yield f"{what} {name} added"
        elif before[name] != after[name]:
            yield f"{what} {name} changed"


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    return str(value).lower() if isinstance(value, bool) else str(value)

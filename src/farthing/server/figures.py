"""What `/metrics` shows beside the counted calls: the state of this house, looked at when somebody asks.

Everything here is a number that a part keeps anyway. What has a name from the settings (providers) may be a label;
nothing that a client chooses is.
"""

import platform
from collections.abc import Iterable, Iterator, Mapping

from farthing import __version__
from farthing.app import Farthing
from farthing.monitoring.exposition import Family, labels_text
from farthing.monitoring.process import process_families
from farthing.monitoring.watch import Watch
from farthing.server.listener import MAX_LINGERING, Listener


def house_families(
    farthing: Farthing, listener: Listener, watch: Watch, errors: Mapping[tuple[int, str], int]
) -> Iterator[Family]:
    """Yield all that a scrape shows; `errors` counts our own answers by status and code."""
    watch.calls.deliver()  # so that whoever has an answer finds its call counted
    yield from watch.metrics.families()
    yield from _server(listener)
    yield Family(
        "farthing_errors_total",
        "counter",
        "Requests answered with an error of Farthing's own.",
        [
            ("", labels_text({"http_response_status_code": str(status), "error_type": code}), count)
            for (status, code), count in errors.items()
        ],
    )
    yield from _ledger(farthing)
    yield from _budgets(farthing)
    yield from _limits(farthing)
    yield from _pools(farthing)
    yield _counter("farthing_events_dropped_total", "Events that metrics and logs have missed.", watch.calls.dropped)
    if farthing.shared_calls is not None:
        dropped = farthing.shared_calls.dropped
        yield _counter("farthing_shared_events_dropped_total", "Calls that other hosts were not told of live.", dropped)
    if farthing.shared_seals is not None:
        told = "Seals of conversations that other processes were not told of."
        yield _counter("farthing_shared_seals_dropped_total", told, farthing.shared_seals.dropped)
    yield _counter("farthing_log_lines_dropped_total", "Log lines nobody took in time.", watch.logs.output.dropped)
    build = {"version": __version__, "python": platform.python_version()}
    yield Family("farthing_build_info", "gauge", "What is running.", [("", labels_text(build), 1)])
    taken_up = int(farthing.settings_taken_up)
    yield _gauge("farthing_settings_taken_up", "Whether settings.yaml, as it was read last, is what holds.", taken_up)
    yield from process_families(farthing.began_us)


def _server(listener: Listener) -> Iterator[Family]:
    yield _gauge("farthing_requests_in_flight", "Requests being answered.", len(listener.exchanges))
    yield _gauge("farthing_calls_lingering", "Calls whose client left, and that are read on.", listener.lingering)
    yield _gauge("farthing_calls_lingering_max", "Most that are read on.", MAX_LINGERING)
    yield _gauge("farthing_client_connections", "Connections of clients.", len(listener.connections))
    yield _gauge("farthing_client_connections_max", "Most that are taken.", listener.bounds.max_connections)
    yield _gauge("farthing_buffered_bytes", "Request bodies in memory.", listener.buffered_bytes)
    yield _gauge("farthing_buffered_bytes_max", "Most that are taken.", listener.bounds.max_buffered_bytes)


def _ledger(farthing: Farthing) -> Iterator[Family]:
    ledger = farthing.ledger
    yield _gauge("farthing_attempts_in_flight", "Tries upstream that have begun and not ended.", ledger.in_flight)
    yield _gauge("farthing_journal_writable", "Whether calls can be recorded.", int(ledger.journal_writable))
    yield _gauge("farthing_store_reachable", "Whether the ledger's database takes what ends.", int(ledger.store_ok))
    yield _gauge("farthing_ledger_queued_attempts", "Ended attempts that the database has not.", ledger.queued)
    yield _gauge("farthing_ledger_spilled", "Whether further ones wait in the journal alone.", int(ledger.spilled))
    yield _gauge(
        "farthing_ledger_unjournaled_attempts",
        "Of the queued, those that would be lost with the process.",
        ledger.in_memory_only,
    )
    yield _counter("farthing_ledger_refused_attempts_total", "Attempts that the database refused.", ledger.refused)
    yield _counter("farthing_journal_damage_total", "Places in the journal that cannot be read.", len(ledger.damage))


def _budgets(farthing: Farthing) -> Iterator[Family]:
    budgets = farthing.budgets
    yield _gauge("farthing_budget_calls_waiting", "Calls that wait for money.", budgets.waiting)
    yield _counter("farthing_budget_refusals_total", "Calls that a budget refused.", budgets.refused)
    yield _counter("farthing_budget_overruns_total", "Calls that cost more than was held for them.", budgets.overruns)
    yield _counter("farthing_budget_overrun_nanousd_total", "How much more, in nanodollars.", budgets.overrun_nanousd)
    yield _gauge(
        "farthing_budgets_fenced",
        "Whether the store was away for so long that leases hold no more.",
        int(budgets.fenced),
    )


def _limits(farthing: Farthing) -> Iterator[Family]:
    limits = farthing.limits
    yield _counter("farthing_limit_refusals_total", "Calls that a limit refused.", limits.refused)
    told = "Calls that a credential's limits or quotas had no room for; another credential may have had."
    yield _counter("farthing_limit_passed_over_total", told, limits.passed_over)
    yield _gauge("farthing_limit_windows", "Windows of limits in memory.", len(limits.live))
    yield _counter("farthing_limit_exchanges_total", "Exchanges with the store of limits.", limits.exchanges)
    yield _counter("farthing_limit_exchange_failures_total", "Of these, those that failed.", limits.failures)
    yield _gauge("farthing_limits_away", "Whether calls are let in without the store of limits.", int(limits.away))


def _pools(farthing: Farthing) -> Iterator[Family]:
    stats = {name: pool.stats for name, pool in farthing.pools.items()}
    yield Family(
        "farthing_provider_connections",
        "gauge",
        "Connections to providers.",
        [
            ("", labels_text({"gen_ai_provider_name": name, "state": state}), count)
            for name, one in stats.items()
            for state, count in (("idle", one.idle), ("in_use", one.in_use))
        ],
    )
    yield Family(
        "farthing_provider_waiting",
        "gauge",
        "Calls that wait for a connection.",
        [("", labels_text({"gen_ai_provider_name": name}), one.waiting) for name, one in stats.items()],
    )


def _gauge(name: str, about: str, value: float) -> Family:
    return Family(name, "gauge", about, _alone(value))


def _counter(name: str, about: str, value: float) -> Family:
    return Family(name, "counter", about, _alone(value))


def _alone(value: float) -> Iterable[tuple[str, str, float]]:
    return (("", "", value),)

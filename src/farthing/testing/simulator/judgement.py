"""Are the books right? Each line of the ledger against what the ends and the disk saw of its call.

A rule may only say what must hold whatever the order of things was: where a race decides, both ends of it are allowed.
So every bill has a least and a most. The least is what reached the client, the most is what reached the gateway.
"""

import asyncio
from collections.abc import Iterator

from farthing.catalog.token_estimate import ProducedText, TokenFamily, family_of
from farthing.ledger.journal_reader import segments
from farthing.ledger.refused import read_refused
from farthing.ledger.verify import verify
from farthing.testing.simulator.budgets import judge_budgets, rules_of
from farthing.testing.simulator.dialects import MODELS, Reported, provider_of
from farthing.testing.simulator.disk import Process
from farthing.testing.simulator.expiry import judge_expired
from farthing.testing.simulator.facts import Call, Facts
from farthing.testing.simulator.house import House, Keep
from farthing.testing.simulator.rates import RATES
from farthing.testing.simulator.routers import SECOND, judge_order, tries_of
from farthing.testing.simulator.schedule import FREE
from farthing.testing.simulator.virtual_time import VirtualLoop, VirtualOffload
from farthing.types.calls import Attempt

_MOST_ROWS = 1_000
_CHECKPOINT_S = 1.0
_SLACK_S = 0.001
_ENVELOPE_TOKENS = 20
"""A whole message without usage is estimated from its content as it came, with the JSON around the text."""
_CUT_OFF = ("provider_cut", "timeout", "cancelled")


def judge_quiet(house: House, process: Process) -> None:
    """Note what goes on for nobody: every client has left a while ago."""
    wrong, farthing, listener = process.facts.wrong, house.farthing, house.listener
    if listener.exchanges or listener.buffered_bytes:
        wrong(f"{len(listener.exchanges)} exchanges and {listener.buffered_bytes} buffered bytes are for nobody")
    if farthing.ledger.in_flight:
        wrong(f"{farthing.ledger.in_flight} attempts are in flight for nobody")
    for name, pool in farthing.pools.items():
        if pool.stats.in_use or pool.stats.waiting:
            wrong(f"the pool of {name} works for nobody: {pool.stats}")


def judge_leftovers(house: House, process: Process, ours: asyncio.Task[None] | None) -> None:
    """Note what a house that has stopped has left behind."""
    wrong, farthing, listener = process.facts.wrong, house.farthing, house.listener
    tasks = [task.get_name() for task in asyncio.all_tasks() if task is not ours]
    if tasks:
        wrong(f"tasks are left: {', '.join(sorted(tasks))}")
    if listener.connections or listener.turned_away or listener.exchanges:
        wrong("the listener has connections or exchanges left")
    if listener.buffered_bytes:
        wrong(f"{listener.buffered_bytes} buffered bytes are left")
    for name, pool in farthing.pools.items():
        if pool.stats.open or pool.stats.waiting:
            wrong(f"the pool of {name} has connections or waiters left: {pool.stats}")
    if farthing.ledger.in_flight:
        wrong(f"{farthing.ledger.in_flight} attempts are in flight for ever")
    if house.files.open_files:
        wrong(f"{house.files.open_files} journal files are left open")
    open_links = sum(not link.lost for link in process.links)
    if open_links:
        wrong(f"{open_links} connections are left open")


def judge_books(keep: Keep, facts: Facts, now_s: float) -> int:
    """Note every line that is wrong or missing; return how many attempts there are."""
    loop = VirtualLoop(now_s, now_s + 60)
    keep.clock.loop = loop
    try:
        return loop.run_until_complete(_judge_books(keep, facts, loop))
    finally:
        loop.close()


async def _judge_books(keep: Keep, facts: Facts, loop: VirtualLoop) -> int:
    offload = VirtualOffload(loop, lambda: 0.0)
    store = keep.store(offload)
    await store.open()
    found = await verify(
        store, keep.home.journal, offload, now_us=keep.clock.now_us(), reprice=_repriced, budgets=store.budgets
    )
    for finding in found:
        if not (finding.kind == "unposted" and finding.subject in facts.refused_by_store):
            facts.wrong(f"verify: {finding.kind} {finding.subject}: {finding.message}")
    if left := segments(keep.home.journal):
        facts.wrong(f"{len(left)} journal segments are left")
    attempts = await store.attempts_after("", _MOST_ROWS)
    attempts += await judge_expired(store, facts, attempts, keep.clock.now_us())
    kept = {attempt.opening.attempt_id for attempt in attempts}
    refused = read_refused(keep.home.journal).values()
    aside = [one.attempt for one in refused if one.attempt is not None and one.attempt_id not in kept]
    lines: dict[int, list[Attempt]] = {number: [] for number in facts.calls}
    for attempt in attempts:
        lines[int(attempt.opening.attribution.task or -1)].append(attempt)
    # What the store refuses for good is in no account: it is set aside for a person to look at.
    await judge_budgets(store, facts, rules_of(keep.schedule), lines, keep.clock.now_us())
    await store.close()
    await offload.close()
    for attempt in aside:
        lines[int(attempt.opening.attribution.task or -1)].append(attempt)
    for number, call in facts.calls.items():
        for problem in _judge_tries(call, lines[number]):
            facts.wrong(f"call {number} ({call.ask.operation}{', streamed' if call.ask.streamed else ''}): {problem}")
    return len(attempts) + len(aside)


def _judge_tries(call: Call, lines: list[Attempt]) -> Iterator[str]:
    yield from judge_order(call, lines)
    for one, found in tries_of(call, lines):
        yield from judge_call(one, found)


def judge_call(call: Call, lines: list[Attempt]) -> Iterator[str]:
    """Yield what is wrong with the lines of one call, or of one of a router's models."""
    if len(lines) != len(call.attempt_ids):
        yield f"{len(call.attempt_ids)} attempts were begun and {len(lines)} stand in the ledger"
    if len(call.attempt_ids) > 1:
        yield f"it was begun {len(call.attempt_ids)} times"
    if call.ended_in_journal > 1:
        yield f"it was ended {call.ended_in_journal} times"
    if call.reached > len(lines):
        yield f"it reached the provider {call.reached} times and stands {len(lines)} times in the ledger"
    if call.whole and call.status == 200 and not lines:
        yield "its client has the whole answer and the ledger nothing"
    yield from _judge_honesty(call)
    yield from _judge_checkpoints(call)
    for line in lines:
        yield from _judge_line(call, line)


def _judge_honesty(call: Call) -> Iterator[str]:
    """A stream never lies: whole and without an error for the client only where it was whole for us."""
    if call.ask.operation in FREE and call.ask.answer.framing == "close":
        return  # its end is the connection's, and nobody can tell that from a cut
    if call.whole and call.status == 200 and not call.told_an_error and not _finish_delivered(call):
        yield "its client was told that an answer is whole which never ended"


def _judge_line(call: Call, line: Attempt) -> Iterator[str]:
    if line.cost_nanousd != _cost(call, line):
        yield f"costs {line.cost_nanousd} and its usage comes to {_cost(call, line)} ({line.outcome}, {line.usage})"
    clean = call.whole and call.status == 200 and not call.told_an_error
    if clean and line.outcome != "ok" and not call.end_refused:
        yield f"its client has the whole answer and the ledger says {line.outcome}"
    match line.outcome:
        case "ok":
            yield from _judge_ok(call, line)
        case "provider_error":
            yield from _judge_error(call, line)
        case "unreachable":
            if call.reached:
                yield "the ledger says that it reached nobody, and a provider had it"
            if line.cost_nanousd != 0:
                yield f"it reached nobody and costs {line.cost_nanousd}"
        case "crashed":
            yield from _judge_crashed(call, line)
        case _:
            yield from _judge_broken(call, line)


def _judge_ok(call: Call, line: Attempt) -> Iterator[str]:
    if call.ask.operation in FREE:
        if line.cost_nanousd != 0:
            yield f"counting tokens costs {line.cost_nanousd}"
        return
    if not _finish_delivered(call):
        yield "the ledger says ok, and the answer was never finished"
        return
    told = _told(call)
    if told is not None and told.final and told.input_tokens is not None and told.output_tokens is not None:
        yield from _judge_reported(line, told)
        return
    yield from _judge_estimate(call, line, told, exactly=True)


def _judge_reported(line: Attempt, told: Reported) -> Iterator[str]:
    usage = line.usage
    billed = (usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens)
    if billed != (told.input_tokens, told.output_tokens, told.cached_tokens):
        yield f"reported were {told.input_tokens}, {told.output_tokens}, {told.cached_tokens} and billed {billed}"
    if line.cost_basis == "estimated":
        yield "its usage was reported, and the ledger says estimated"


def _judge_estimate(call: Call, line: Attempt, told: Reported | None, *, exactly: bool) -> Iterator[str]:
    """Look at a bill that rests on our own estimate; `exactly`: all that was delivered was read."""
    if line.cost_basis == "reported":
        yield f"nobody reported its usage, and the ledger says so ({line.outcome}, {line.usage})"
    usage, family = line.usage, _family(call)
    given = call.input_estimate if told is None or told.input_tokens is None else told.input_tokens
    read = {call.input_estimate, given} if not exactly else {given}
    if usage.input_tokens not in read:
        yield f"its input is {given}, and billed are {usage.input_tokens}"
    told_output = 0 if told is None or told.output_tokens is None or told.final else told.output_tokens
    most = max(_tokens(call.text_delivered, family), told_output)
    least = most if exactly else _tokens(call.text_received, family)
    if call.ask.operation == "messages" and not call.ask.streamed:
        most += _ENVELOPE_TOKENS
    if usage.output_tokens is None and most == 0 and not call.ask.streamed:
        return  # an answer in which nothing can be read and nothing was counted is of unknown cost
    if usage.output_tokens is None or not least <= usage.output_tokens <= most:
        yield f"between {least} and {most} tokens were produced, and billed are {usage.output_tokens} ({line.outcome})"


def _judge_error(call: Call, line: Attempt) -> Iterator[str]:
    answer = call.ask.answer
    if line.http_status is not None and line.http_status >= 400:
        if line.http_status == 504 and line.usage.output_tokens is not None:
            yield f"nobody knows what became of it, and the ledger says {line.usage}"
        if line.http_status != 504 and line.cost_nanousd != 0:
            yield f"a refusal costs {line.cost_nanousd}"
        return
    if answer.body == "answer" and answer.cut is None:
        yield f"the provider answered in order, and the ledger says {line.outcome}: {line.error_message}"
    if line.cost_basis == "unknown" or not call.ask.streamed:
        return
    if call.text_delivered:
        yield from _judge_estimate(call, line, _told(call), exactly=False)


def _judge_broken(call: Call, line: Attempt) -> Iterator[str]:
    """Look at an answer that never came, or broke off, or whose client left."""
    if line.outcome not in _CUT_OFF:
        yield f"nobody knows the outcome {line.outcome}"
    if line.outcome == "cancelled" and not (call.left or call.told_an_error or call.life_ended_in_death):
        yield "its client has not left and was told of no error, and the ledger says cancelled"
    received = call.text_received if call.ask.streamed else ""
    if line.usage.output_tokens is None:
        if received:
            yield f"its client has text of it, and nobody knows how much was written ({line.outcome})"
        if line.cost_basis == "reported":
            yield f"nobody reported its usage, and the ledger says so ({line.outcome})"
        return
    told = _told(call)
    if told is not None and told.final and told.output_tokens is not None:
        if _says(line, told):
            return
        # It was delivered, and the call had ended before it was read.
        told = next(
            (part.reported for part in call.parts if part.reported is not None and not part.reported.final), None
        )
    yield from _judge_estimate(call, line, told, exactly=False)


def _judge_crashed(call: Call, line: Attempt) -> Iterator[str]:
    if not call.life_ended_in_death and not call.end_refused:
        yield "the ledger says crashed, and its process did not die"
    if call.ended_in_journal:
        yield "its end stands in the journal, and the ledger says crashed"
    if line.cost_basis == "reported" and provider_of(call.ask) != "home":
        yield "it crashed, and the ledger says reported"
    last = call.checkpoints[-1] if call.checkpoints else None
    if (line.usage.output_tokens is None) == call.ask.streamed:
        yield f"of a stream output is known, of another answer it is not, and the ledger says {line.usage}"
    produced = 0 if last is None else last.output_tokens or 0
    output = line.usage.output_tokens or 0
    if not produced <= output <= 2 * produced:
        yield f"its last checkpoint says {produced} tokens, at most as many in a second more, and billed are {output}"
    if call.first_written_s is not None and call.last_written_s is not None and not call.journal_troubled:
        since_s = call.first_written_s if last is None else last.at_s
        unseen_s = call.last_written_s - since_s
        if call.ask.streamed and unseen_s > _CHECKPOINT_S + _SLACK_S:
            yield f"bytes went out {unseen_s:.3f} s after the last checkpoint"


def _judge_checkpoints(call: Call) -> Iterator[str]:
    """No checkpoint may count more than what had arrived when it was written."""
    for checkpoint in call.checkpoints:
        parts = call.parts[: checkpoint.parts_delivered]
        told = [part.reported.output_tokens or 0 for part in parts if part.reported is not None]
        most = max([_tokens("".join(part.text for part in parts), _family(call)), *told])
        if checkpoint.output_tokens is None or checkpoint.output_tokens > most:
            yield f"a checkpoint counts {checkpoint.output_tokens} tokens of {most} that had arrived"


def _finish_delivered(call: Call) -> bool:
    """Whether what ends the answer arrived at the gateway."""
    return any(part.finishes for part in call.parts[: call.delivered])


def _told(call: Call) -> Reported | None:
    """Return the last that was delivered of what the provider says of the use."""
    told = [part.reported for part in call.parts[: call.delivered] if part.reported is not None]
    return told[-1] if told else None


def _says(line: Attempt, told: Reported) -> bool:
    usage = line.usage
    return (usage.input_tokens, usage.output_tokens) == (told.input_tokens, told.output_tokens)


def _tokens(text: str, family: TokenFamily) -> int:
    produced = ProducedText()
    produced.add(text)
    return produced.tokens(family)


def _family(call: Call) -> TokenFamily:
    return family_of(_KIND_NAMES[provider_of(call.ask)], MODELS[call.ask.model])


_KIND_NAMES = {"alpha": "openai", "home": "vllm", "claude": "anthropic", "gem": "gemini", "llama": "ollama"}
_KIND_NAMES |= {second: _KIND_NAMES[first] for first, second in SECOND.items()}


def _cost(call: Call, line: Attempt) -> int | None:
    """Return what the usage of a line costs, by our own arithmetic."""
    usage = line.usage
    if usage.input_tokens == 0 and usage.output_tokens == 0 and line.price_id is None:
        return 0  # nothing was had
    return _priced(provider_of(call.ask), call.ask.model == "unpriced", line)


def _priced(provider: str, unpriced: bool, line: Attempt) -> int | None:  # noqa: FBT001 - of a model
    usage = line.usage
    if provider == "home" and usage.input_tokens is not None and usage.output_tokens is not None:
        return 0
    if unpriced or usage.input_tokens is None or usage.output_tokens is None:
        return 0 if provider == "home" else None
    read, written, cached = RATES[provider]
    afresh = usage.input_tokens - usage.cache_read_input_tokens
    return afresh * read + usage.cache_read_input_tokens * cached + usage.output_tokens * written


def _repriced(line: Attempt) -> int | None:
    """Return what `verify` compares a line's cost with."""
    return None if line.price_id is None else _priced(line.opening.provider, False, line)  # noqa: FBT003 - it is priced

"""What really happened, call by call, as both ends and the disk saw it; the ledger is judged by nothing else.

Everything is written down in order, too: two runs of one seed must have the same trace, line by line.
"""

import msgspec

from farthing.testing.simulator.dialects import Part, answer_of, text_of
from farthing.testing.simulator.schedule import Ask, FallBack, Schedule
from farthing.types.calls import Attempt


class Checkpoint(msgspec.Struct, frozen=True):
    """A checkpoint that stands in the journal: when it was written, what it counted, and what was delivered by then."""

    at_s: float
    output_tokens: int | None
    parts_delivered: int


class Call:
    """One call, from all sides."""

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.parts: list[Part] = answer_of(ask)
        # The client's side.
        self.sent_whole = False
        self.left = False
        self.left_s: float | None = None
        self.status: int | None = None
        self.received = bytearray()
        self.whole = False
        self.first_written_s: float | None = None
        self.last_written_s: float | None = None
        # The journal's side.
        self.attempt_ids: list[str] = []
        self.begun_s: float | None = None
        self.input_estimate: int | None = None
        self.checkpoints: list[Checkpoint] = []
        self.ended_in_journal = 0
        self.end_refused = False
        self.journal_troubled = False
        # The provider's side.
        self.reached = 0
        self.delivered = 0
        # What ended the process, if anything did while the call was under way.
        self.life_ended_in_death = False
        # Of a call that names a router: what is known of each of its models, by provider; the client's side is here.
        self.tries = {one.provider: Call(_try(ask, one)) for one in ask.tries}
        self.begun: list[str] = []

    def at(self, provider: str) -> "Call":
        """Return what is known of the call as it is made of this provider."""
        return self.tries.get(provider, self)

    def take_clients_side(self, call: "Call") -> None:
        """Know what the client of this call sent and got."""
        self.sent_whole, self.whole, self.status, self.received = (
            call.sent_whole,
            call.whole,
            call.status,
            call.received,
        )
        self.first_written_s, self.last_written_s = call.first_written_s, call.last_written_s

    @property
    def text_delivered(self) -> str:
        """The text that arrived at the gateway, whole events only."""
        return "".join(part.text for part in self.parts[: self.delivered])

    @property
    def text_received(self) -> str:
        """The text that arrived at the client, up to the first piece that did not."""
        if not self.ask.streamed:
            return "".join(part.text for part in self.parts) if self.whole else ""
        found = ""
        for number, words in enumerate(self.ask.answer.words):
            text = text_of(number, words)
            if text.encode() not in self.received:
                break
            found += text
        return found

    @property
    def told_an_error(self) -> bool:
        """Whether what the client got says that something went wrong."""
        return b'"error"' in self.received


def _try(ask: Ask, one: FallBack) -> Ask:
    return msgspec.structs.replace(
        ask, provider=one.provider, model=one.model, answer=one.answer, router=None, tries=()
    )


class Facts:
    """All calls of a simulation, the trace, and what was seen to be wrong while it ran."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        asks = [ask for life in schedule.lives for client in life.clients for ask in client.asks]
        self.calls = {ask.number: Call(ask) for ask in asks}
        self.by_attempt: dict[str, Call] = {}
        self.problems: list[str] = []
        self.trace: list[tuple[float, str, str]] = []
        self.refused_by_store: set[str] = set()
        self.posted: dict[str, Attempt] = {}
        """What the store took, as it took it first."""
        self.offered: dict[str, Attempt] = {}
        """What it was given last; a process that dies over it does not know whether it was taken."""
        self.deaths = 0

    def wrong(self, what: str) -> None:
        """Note that something is not as it must be; each sentence once."""
        if what not in self.problems:
            self.problems.append(what)

    def lines(self) -> list[str]:
        """Return the trace as it is printed."""
        return [f"{at_s:12.6f}  {who:<12} {what}" for at_s, who, what in self.trace]

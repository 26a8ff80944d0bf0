"""The most that a call may cost, from its bytes and the price of its model; and what calls like it did cost.

The answer is bounded by the limit that the client set, or that we set where money is scarce: providers keep to it. What
is read is bounded by the request's size, as no tokenizer makes more tokens than there are bytes, except where a request
only points at what is to be read (a picture's address, a stored response, a search): then by what the model can read.

That is four times what a text will cost, and so only held while there is plenty. Where money is scarce, a text is held
for with what it was reported to have before, and with a token for every byte of it that is new (`known_texts.py`). It
is tokens that are known and not what they cost, as an agent's calls are all read from the provider's cache, at a tenth,
until it pauses for five minutes. Until the first call of a model has been reported, eight times the bound is held where
there is room: some servers count what nobody sent.
"""

import re
from collections import OrderedDict
from collections.abc import Iterable
from itertools import product

import msgspec

from farthing.catalog.capabilities import most_input_tokens, most_output_tokens
from farthing.gateway import own_tools
from farthing.gateway.answer_limits import choices_of, limit_of
from farthing.gateway.dearest_rates import DearestRates, Kind, dearest_rates, rates_at
from farthing.gateway.known_texts import ENVELOPE_TOKENS, TOOLS_TOKENS, KnownTexts
from farthing.gateway.shapes import MAY_SEARCH, SEARCHING, STORED, Shape
from farthing.ledger.bounds import MAX_COST_NANOUSD
from farthing.providers.protocol import ONLY_READ, Operation
from farthing.types.models import ModelRef
from farthing.types.prices import PriceSheet
from farthing.types.providers import WireFormat
from farthing.types.usage import Usage
from farthing.wire.peek import Envelope

LOOKED_AT_BYTES = 8_192
"""A request up to this size is always searched for what it points at, in 4 us; of 112 KB, which take 100, it is only
looked at where money is scarce, and else taken to have the model read all that it can."""
IMAGE_TOKENS = 6_000
"""A picture that is given by its address; the largest are read as 4,800 tokens (Claude, 2026-11)."""
SMALL_IMAGE_TOKENS = 50_000
"""The same at gpt-4o-mini, which counts each as 33 times what gpt-4o does."""
SEARCHES = 10
"""Web searches that are held for where a request may make some and says no bound; agents were seen to make up to 6."""
MOST_SEARCHES = 50
"""The same where a request allows more. Providers end a turn after ten rounds of their own tools (Anthropic, 2026-11),
each with a few searches at once."""
ROUNDS = 10
"""How often a model may read all that it can in one call: as often as a provider goes on by itself, see above. What is
learned of more than was bounded is believed up to there, or one absurd report would keep a model from everybody."""
LEAST_LIMIT_TOKENS = 16
"""A lower limit to an answer is taken for this one: OpenAI's responses refuse less, so a request that is translated for
them is sent with this."""
ENOUGH_ANSWERS = 4
"""Of a model; while a process has got fewer it asks the ledger what others got."""
UNCONFIRMED = 8
"""How many times the input's bound is held while no call of the model was reported; see above."""
LEARN_ALWAYS, LEARN_SELDOM, LEARN_BYTES = 64, 32, 128
"""Each of a model's first calls teaches, then every 32nd, 25 us each. A long one takes 6 us for each KB of it, so one
teaches for as many as it has 128 bytes: less than 1 us of each."""
LEAST_OUTPUT_TOKENS = 1_024
"""A limit that we set is not lower while nothing is known of the model's answers: less is cut too often."""
MAX_MODELS = 1_024
"""Models whose calls are remembered, as in `token_estimate.py`."""
_NANO = 1_000_000 * 1_000
"""A rate is picodollars for a million, and an amount nanodollars."""
_FILES = (
    *(b'"file_id"', b'"file_url"', b'"fileUri"', b'"file_uri"', b'"item_reference"', b'"video_url"', b'"audio_url"'),
    *(b"application/pdf", b"video/", b'"file_data"'),
)
"""What stands in a request that names a document by its address, or has one of which a byte may be many tokens: a page
of a document is read as a picture of it, a second of a film as one, too, and office documents are packed."""
_BY_ADDRESS = re.compile(rb'"type"\s*:\s*"url"')
_ESCAPED = re.compile(rb"\\u00(?:2[0-9fF]|3[0-9aA]|4[1-9a-fA-F]|5[0-9aAfF]|6[1-9a-fA-F]|7[0-9aA])")
"""A letter, digit, or what else stands in names, written as an escape. No program writes them so: whoever does may mean
that a name is not found. (Go writes <, > and & as escapes, and they are not among these.)"""
_PICTURES = re.compile(rb'"image"|"inline_?[dD]ata"|"input_image"')
_OF_OLLAMA = re.compile(rb'"images"\s*:\s*\[([^\]]*)')
"""Pictures in Ollama's format, which are a list of base64."""
_SERVER_TOOLS = (b"search", b"web_fetch", b"url_context", b"urlcontext", b"mcp", b"code_", b"codeexecution", b"maps")
"""What stands, in small letters, in the tools that the provider itself uses, and has the model read what they find."""
_GOES_ON = SEARCHING | {"mcp_servers", "container"}
"""Members that have the provider use tools of its own."""
_ONE_TEXT: frozenset[WireFormat] = frozenset({"openai_chat", "openai_responses", "anthropic_messages"})
"""Formats in which one text is answered, unless a member says otherwise."""
_MAX_USES = re.compile(rb'"max_uses"\s*:\s*(\d{1,9})')
_MARKS = (b"cache_control", b"prompt_cache_breakpoint")
"""What marks a part for the prompt cache; the second is OpenAI's, and is translated for others."""
_DEARER = frozenset({"service_tier", "serviceTier", "speed", "inference_geo", "web_search_options"})
"""Members that may choose other prices."""
_SEVERAL_TEXTS: frozenset[Operation] = ONLY_READ | {"completions"}
"""Operations that may have several texts, of which each may be as long as the model can read."""
COSTS_NOTHING: frozenset[Operation] = frozenset({"count_tokens", "ollama_show", "models"})
"""Operations that are free by their nature."""
_EVERY_KIND: frozenset[Kind] = frozenset({"audio", "image", "marked", "tiers"})
_ORDER: tuple[Kind, ...] = ("audio", "image", "marked", "tiers")
_NO_KIND: frozenset[Kind] = frozenset()
_KINDS = {
    flags: frozenset(kind for kind, there in zip(_ORDER, flags, strict=True) if there) or _NO_KIND
    for flags in product((False, True), repeat=4)
}
_NOT_PLAIN = frozenset({"tools", "modalities", "audio", *_DEARER, *STORED})
"""Members that may make a request dearer than its text."""


class Bound(msgspec.Struct, frozen=True, gc=False):
    """What a call may cost, in nanodollars.

    `least` must be held, `most` is where there is plenty. Without a limit of the client's (`limited`), what is held
    decides how much may be written: `tokens_for`.
    """

    least_nanousd: int
    most_nanousd: int
    unknown_nanousd: int
    """What it counts as where nobody tells what it cost: all that it makes the model read, and its longest answer."""
    limited: bool
    request_bytes: int
    input_tokens: int
    searches: int
    """How many are asked for; 0 where none is, and then a model may make some by itself."""
    least_input_nanousd: int
    """What of `least` is for reading."""
    output_rate: int
    """Picodollars for a million tokens of every choice together."""
    most_output_tokens: int

    def tokens_for(self, amount_nanousd: int) -> int:
        """Return how many tokens may be written when so much is held."""
        if self.output_rate == 0:
            return self.most_output_tokens
        for_writing = max(0, amount_nanousd - self.least_input_nanousd)
        return min(self.most_output_tokens, for_writing * _NANO // self.output_rate)


class _Terms(msgspec.Struct, frozen=True, gc=False):
    """What calls on one model cost at most: `reading` all that it can, and the highest rates."""

    sheet_id: str
    room: int
    reading: int
    searching: int
    input_rate: int
    dearest_input_rate: int
    output_rate: int
    most_output_tokens: int


class _Seen:
    """What calls of one model were reported: the longest answer, searches, and what was read beyond the bound."""

    __slots__ = ("answers", "beyond", "calls", "longest", "searches")

    def __init__(self) -> None:
        self.calls = self.answers = 0
        """How many could have taught, and how many did."""
        self.longest = 0
        self.searches = {False: 0, True: 0}
        """The most that calls made, by whether they asked for any."""
        self.beyond = 100  # percent: the most that was read of what the bound had said


class Bounds:
    """Computes bounds, and learns from what was reported; one per process."""

    def __init__(self) -> None:
        self._seen: OrderedDict[ModelRef, _Seen] = OrderedDict()
        self._texts = KnownTexts()
        self._heard: dict[ModelRef, tuple[int, int]] = {}
        self._terms: dict[ModelRef, _Terms] = {}
        self._dearest: dict[tuple[str, frozenset[Kind]], tuple[DearestRates, ...]] = {}

    def at_most(
        self,
        envelope: Envelope,
        wire: WireFormat,
        operation: Operation,
        ref: ModelRef,
        sheet: PriceSheet,
        shape: Shape,
    ) -> tuple[int, int, int | None]:
        """Return what any call on `ref` costs at most, and what this one counts as where nobody tells what it cost.

        Its body is not looked at: the model may read all that it can. In nanodollars. The third is how many tokens all
        choices of its answer may have by what the client asked for, `None` where any.
        """
        terms = self._terms.get(ref)
        if terms is None or terms.sheet_id != sheet.id:
            terms = self._new_terms(ref, sheet)
        size = len(envelope.body)
        told = size + TOOLS_TOKENS
        reading, writing, limit = terms.reading, 0, None
        if shape.at_a_glance and wire in _ONE_TEXT:  # nearly all is known at one glance
            limit = limit_of(envelope, wire) if shape.limits else None
            tokens = terms.most_output_tokens
            if limit is not None:
                tokens = limit if limit > LEAST_LIMIT_TOKENS else LEAST_LIMIT_TOKENS  # noqa: FURB136 - twice as fast
            writing = tokens * terms.output_rate
            if size <= LOOKED_AT_BYTES and _has_parts(envelope.body):
                told, _ = _reads(envelope, operation, ref)
        else:
            reading += terms.searching if envelope.has_any(MAY_SEARCH) else 0
            if operation not in ONLY_READ:
                limit, choices = limit_of(envelope, wire), choices_of(envelope, wire)
                tokens = terms.most_output_tokens if limit is None else max(limit, LEAST_LIMIT_TOKENS)
                writing = tokens * terms.output_rate * choices
                limit = None if limit is None else limit * choices
            if operation in _SEVERAL_TEXTS:
                reading = max(reading, told * terms.dearest_input_rate)
            if envelope.has_any(STORED):
                told = terms.room
            elif size <= LOOKED_AT_BYTES and _may_name_more(envelope.body):
                told, _ = _reads(envelope, operation, ref)
        unknown = min(told * terms.input_rate, reading)
        most = min(MAX_COST_NANOUSD, (reading + writing) // _NANO + 1)
        return most, min(most, (unknown + writing) // _NANO + 1), limit

    def bound(
        self,
        envelope: Envelope,
        wire: WireFormat,
        operation: Operation,
        ref: ModelRef,
        sheet: PriceSheet,
        *,
        every_byte: bool = False,
    ) -> Bound:
        """Return what a call on `ref` may cost at the prices of `sheet`, having looked at all of it.

        With `every_byte` each may be a token, whatever requests like it were reported to have, and the provider's own
        tools are used in as many rounds as there can be: then `least` is the most that it costs.
        """
        seen = self._seen.get(ref)
        size = len(envelope.body)
        searches, kinds, rounds = 0, _NO_KIND, 1
        if _is_plain(envelope, wire, ref):
            reads = size + envelope.added_bytes + ENVELOPE_TOKENS
            if operation not in _SEVERAL_TEXTS:
                reads = min(reads, most_input_tokens(ref.model))
        else:
            clients = own_tools.are_the_clients(envelope.raw("tools")) if every_byte else None
            reads, searches = _reads(envelope, operation, ref, clients=clients)
            kinds = _kinds(envelope, ref)
            if every_byte and (not clients or searches or envelope.has_any(_GOES_ON)):
                rounds, searches = ROUNDS, MOST_SEARCHES if searches else 0
        tokens, made = reads, searches
        known = None if every_byte or wire == "ollama" else self._known(envelope, wire, ref, reads)
        if seen is not None:
            made = max(searches, seen.searches[searches > 0])
            room = most_input_tokens(ref.model)
            most_read = max(reads, room if reads < room else ROUNDS * room)
            tokens = min(-(-reads * seen.beyond // 100), most_read)
        rates = rates_at(self._rates(sheet, kinds), tokens)
        tokens *= rounds
        fee = rates.request + made * rates.search
        most_in = tokens * rates.input + fee
        least_in = most_in if known is None else min(known, tokens) * rates.input + fee
        unconfirmed = most_in * (UNCONFIRMED if seen is None else 1)
        if operation in ONLY_READ:
            limit, choices, given = 0, 1, True
        else:
            asked, choices = limit_of(envelope, wire), choices_of(envelope, wire)
            given = asked is not None
            limit = most_output_tokens(ref.model) if asked is None else max(asked, LEAST_LIMIT_TOKENS)
        each = rates.output * choices
        least_out = limit if given else min(limit, self._floor(ref, seen))
        return Bound(
            least_nanousd=_nanousd(least_in + least_out * each),
            most_nanousd=_nanousd(unconfirmed + limit * each),
            unknown_nanousd=_nanousd((tokens if every_byte else reads) * rates.input + fee + limit * each),
            limited=given,
            request_bytes=size,
            input_tokens=reads,
            searches=searches,
            least_input_nanousd=-(-least_in // _NANO),
            output_rate=each,
            most_output_tokens=limit,
        )

    def hear(self, answers: Iterable[tuple[ModelRef, int]]) -> None:
        """Take note of how long answers were that other processes got."""
        heard: dict[ModelRef, tuple[int, int]] = {}
        for ref, tokens in answers:
            count, longest = heard.get(ref, (0, 0))
            heard[ref] = (count + 1, max(longest, tokens))
        self._heard = heard

    def _floor(self, ref: ModelRef, seen: _Seen | None) -> int:
        """Return the lowest limit that we set to an answer: twice the longest there was, more while there were few."""
        answers, longest = (0, 0) if seen is None else (seen.answers, seen.longest)
        if answers < ENOUGH_ANSWERS and ref in self._heard:
            count, most = self._heard[ref]
            answers, longest = answers + count, max(longest, most)
        if not answers:
            return LEAST_OUTPUT_TOKENS
        return min(LEAST_OUTPUT_TOKENS, max(16, 2 * longest * (answers + 8) // answers))

    def may_learn(self, ref: ModelRef, request_bytes: int) -> bool:
        """Return whether a call that was as dear as it was held to be is to teach; one that was dearer always does."""
        seen = self._seen.get(ref)
        if seen is None:
            return True
        seen.calls = count = seen.calls + 1
        often = LEARN_SELDOM if request_bytes <= LOOKED_AT_BYTES else request_bytes // LEARN_BYTES
        return count <= LEARN_ALWAYS or count % often == 0

    def learn(self, ref: ModelRef, wire: WireFormat, envelope: Envelope, bound: Bound, usage: Usage) -> None:
        """Learn from what a call was reported to have read and written."""
        seen = self._seen.get(ref)
        if seen is None:
            seen = self._seen[ref] = _Seen()
            if len(self._seen) > MAX_MODELS:
                self._seen.popitem(last=False)
        seen.answers += 1
        seen.longest = max(seen.longest, usage.output_tokens or 0)
        asked = bound.searches > 0
        seen.searches[asked] = max(seen.searches[asked], min(MOST_SEARCHES, usage.web_search_requests))
        cached = usage.cache_read_input_tokens + usage.cache_creation_input_tokens
        read = usage.input_tokens or 0
        if cached > read:  # counted beside it, and charged in full
            read += cached
        if read > bound.input_tokens:
            seen.beyond = max(seen.beyond, -(-read * 100 // max(1, bound.input_tokens)))
        if bound.request_bytes < most_input_tokens(ref.model):  # of a longer one some may have been left out
            self._texts.note(ref, wire, envelope, read)

    def _known(self, envelope: Envelope, wire: WireFormat, ref: ModelRef, reads: int) -> int | None:
        """Return how many tokens a request has by what is known of its text, where its text is all that is read."""
        more = reads - len(envelope.body)
        if more not in (ENVELOPE_TOKENS, TOOLS_TOKENS) or reads >= most_input_tokens(ref.model):
            return None
        return self._texts.most_tokens(ref, wire, envelope)

    def _rates(self, sheet: PriceSheet, kinds: frozenset[Kind]) -> tuple[DearestRates, ...]:
        """Return the highest rates of each band that a call may fall into."""
        key = (sheet.id, kinds)
        bands = self._dearest.get(key)
        if bands is None:
            if len(self._dearest) >= MAX_MODELS:
                self._dearest.clear()
            bands = self._dearest[key] = dearest_rates(sheet, kinds)
        return bands

    def _new_terms(self, ref: ModelRef, sheet: PriceSheet) -> _Terms:
        room = most_input_tokens(ref.model)
        every = rates_at(self._rates(sheet, _EVERY_KIND), room)
        if len(self._terms) >= MAX_MODELS:
            self._terms.clear()
        terms = self._terms[ref] = _Terms(
            sheet_id=sheet.id,
            room=room,
            reading=room * every.input + every.request + SEARCHES * every.search,
            searching=(MOST_SEARCHES - SEARCHES) * every.search,
            dearest_input_rate=every.input,
            input_rate=self._rates(sheet, _NO_KIND)[-1].input,
            output_rate=every.output,
            most_output_tokens=most_output_tokens(ref.model),
        )
        return terms


def _nanousd(amount: int) -> int:
    """Return an amount of rates and tokens in nanodollars, rounded up, and no more than is believed of a cost.

    A client may ask for answers of 10**18 tokens, and a store refuses every batch with an amount of over 64 bits.
    """
    return min(MAX_COST_NANOUSD, -(-amount // _NANO))


def _is_plain(envelope: Envelope, wire: WireFormat, ref: ModelRef) -> bool:
    """Whether a request is nothing but text: what is more stands in parts that name their type, or is marked."""
    body, model = envelope.body, ref.model
    if wire in ("gemini", "ollama") or len(body) > LOOKED_AT_BYTES or b'"type"' in body or b"\\u00" in body:
        return False
    if b"cache_control" in body or "image" in model or "audio" in model or "tts" in model or ":online" in model:
        return False
    return envelope.has_none(_NOT_PLAIN) and (wire == "openai_completions" or "prompt" not in envelope)


def _reads(envelope: Envelope, operation: Operation, ref: ModelRef, *, clients: bool | None = None) -> tuple[int, int]:
    """Return how many tokens may be read at most, and how many searches made.

    `clients` says whether all its tools are the client's own; where it is `None`, that is judged by their words.
    """
    body = envelope.body
    room = most_input_tokens(ref.model)
    tools = (envelope.raw("tools") or b"").lower()
    if b"\\/" in body:  # PHP writes a slash so
        body = body.replace(b"\\/", b"/")
    hiding = _hides(body)
    serving = any(word in tools for word in _SERVER_TOOLS) if clients is None else not clients
    serving = serving or not envelope.has_none(STORED)
    searching = hiding or (not clients and b"search" in tools)
    searching = searching or envelope.has_any(SEARCHING) or ref.model.endswith(":online")
    if serving or searching or any(pointer in body for pointer in _FILES) or _names_more(envelope):
        return max(room, len(body)) if operation in _SEVERAL_TEXTS else room, _searches(tools) if searching else 0
    tokens = len(envelope.body) + envelope.added_bytes + (TOOLS_TOKENS if tools else ENVELOPE_TOKENS)
    if (pictures := body.count(b'"image_url"')) > 0:
        tokens += pictures * (SMALL_IMAGE_TOKENS if "4o-mini" in ref.model else IMAGE_TOKENS)
    if b"mage" in body or b"nline" in body:
        tokens += IMAGE_TOKENS * (len(_PICTURES.findall(body)) + sum(map(_texts_in, _OF_OLLAMA.findall(body))))
    return tokens if operation in _SEVERAL_TEXTS else min(tokens, room), 0


def _texts_in(found: bytes) -> int:
    return (found.count(b'"') + 1) // 2


def _searches(tools: bytes) -> int:
    """Return how many searches are held for, by what the tools say; theirs may be written so that nobody finds it."""
    if b"\\u" in tools:
        return MOST_SEARCHES
    allowed = [int(number) for number in _MAX_USES.findall(tools)]
    return min(MOST_SEARCHES, max(SEARCHES, sum(allowed)))


def _hides(body: bytes) -> bool:
    """Whether a letter is written as an escape, so that what the request names may not be found."""
    return b"\\u00" in body and _ESCAPED.search(body) is not None


def _has_parts(body: bytes) -> bool:
    """Whether a text may come with more to read than its bytes: parts of a message name their type, or hide it."""
    return b'"type"' in body or (b"\\" in body and b"\\u00" in body)


def _may_name_more(body: bytes) -> bool:
    """Whether a request may name more to read than it has: few others have such letters."""
    return b"url" in body or b"ile" in body or b"mage" in body or b"nline" in body or b"\\u00" in body


def _names_more(envelope: Envelope) -> bool:
    """Whether a request names by other means what is to be read, or hides what it names."""
    body = envelope.body
    if b'"url"' in body and _BY_ADDRESS.search(body):
        return True
    return _hides(body) or (envelope.raw("prompt") or b"")[:1] == b"{"  # a prompt that is stored at the provider


def _kinds(envelope: Envelope, ref: ModelRef) -> frozenset[Kind]:
    """Return which dearer kinds of tokens a request may bring about; some models draw or speak without being asked."""
    body, model = envelope.body, ref.model
    if _hides(body):
        return _EVERY_KIND
    return _KINDS[
        b"audio" in body or b"AUDIO" in body or "audio" in model or "tts" in model,
        b"image" in body or b"IMAGE" in body or "image" in model,
        any(mark in body for mark in _MARKS),
        envelope.has_any(_DEARER),
    ]

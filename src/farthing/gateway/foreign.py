"""Calls for a provider that does not speak the client's format: translated, or answered here where that will do.

Words are asked for in the provider's format (`translation.py`). A count of tokens is the provider's own where it
counts, else our estimate, marked as one. What a model can do (`ollama show`) is told from what is known of it.
"""

import logging

import msgspec

from farthing.catalog.token_estimate import estimate_request_tokens, family_of
from farthing.clock import Clock
from farthing.config.schema import TranslationSettings
from farthing.errors import FarthingError, InvalidRequest
from farthing.gateway.call import Reply, Request
from farthing.gateway.contexts import Contexts
from farthing.gateway.counting import COUNTING_FORMATS, Counting, counted
from farthing.gateway.embedding import EMBEDDING_OPERATIONS, Embedding
from farthing.gateway.lineup import Lineup
from farthing.gateway.losses import LossPolicy
from farthing.gateway.shared_seals import SharedSeals
from farthing.gateway.signatures import Signatures
from farthing.gateway.translated import Translated
from farthing.gateway.translation import ANSWER_ROOM_TOKENS, Translations, new_ids
from farthing.providers.protocol import Provider
from farthing.types.chat import ChatRequest
from farthing.types.identity import IdSource
from farthing.types.models import ModelRef
from farthing.types.providers import WireFormat
from farthing.wire.translators.ollama import TRANSLATOR as OLLAMA
from farthing.wire.translators.ollama import read_generate
from farthing.wire.translators.ollama.show import write_shown
from farthing.wire.translators.protocol import Asked
from farthing.wire.translators.reading import MAX_OBJECTS, is_crowd
from farthing.wire.translators.registry import translator
from farthing.wire.translators.tool_names import ToolNames
from farthing.wire.translators.unmarking import without_marks

log = logging.getLogger(__name__)

MAX_NOTED = 1_024
"""Losses that were logged and are not logged again: keys times models of a busy house."""
_ESTIMATED = b"x-farthing-estimated: true"
_JSON = b"content-type: application/json"
_NO_CONVERSATION = frozenset({"ollama_show", "count_tokens"}) | EMBEDDING_OPERATIONS


class Foreign:
    """Translates the calls of one gateway."""

    def __init__(self, ids: IdSource, clock: Clock, *, alone: bool, shared: SharedSeals | None = None) -> None:
        """`alone` says that every call of a conversation comes here, and not to one of several workers or hosts.

        Where it does not, what is `shared` has the seals of all of them.
        """
        self._ids = ids
        self._clock = clock
        if alone:
            self._signatures = Signatures(clock)
        elif shared is not None:
            self._signatures = Signatures(clock, shared)
        else:
            # A seal would be found in one turn and not in the next, and each change of what is sent costs the
            # provider's prompt cache. Without any the thoughts are left out, always in the same way.
            self._signatures = Signatures(clock, max_bytes=0, max_bytes_per_key=0)
        self._contexts = Contexts(clock)
        self._translations = Translations(LossPolicy(TranslationSettings()), self._signatures, ids)
        self._policy: LossPolicy | None = None
        self._noted: set[tuple[str, str, str, tuple[str, ...]]] = set()

    def without_marks(self, wire: WireFormat, body: bytes) -> bytes:
        """Return a body that is passed through without marks of ours that its provider would refuse."""
        return without_marks(wire, body)

    async def fetch_seals(self, request: Request, body: bytes, provider: Provider, asked: str) -> None:
        """Have at hand what other processes keep of a conversation that is going to be translated.

        The request is read for it, and once more when it is translated: between that and the provider nobody may wait.
        """
        if request.operation in _NO_CONVERSATION or is_crowd(body):
            return
        try:
            chat = _read(request, body, asked, streamed=False)
        except FarthingError:
            return  # which `translated` says
        await self._signatures.fetch(request.principal.key_id, chat, provider.known.wire)

    def translated(
        self,
        request: Request,
        lineup: Lineup,
        provider: Provider,
        ref: ModelRef,
        *,
        body: bytes,
        asked: str,
        call_id: str,
        streamed: bool,
    ) -> Translated | Reply:
        """Return a call on its way to the provider, or the answer where the provider need not be asked.

        Raises:
            LostInTranslation: the provider's format cannot carry what the request needs.
            InvalidRequest: the request is wrong in itself.
            NotServed: it is nothing that can be translated.
        """
        policy = self._policy_of(lineup)
        if request.operation == "ollama_show":
            return Reply(status=200, lines=_head(call_id, ref), body=write_shown(ref.provider))
        _refuse_crowd(body)
        if request.operation in EMBEDDING_OPERATIONS:
            vectors = Embedding(request.operation, body, asked=asked, ref=ref, provider=provider, policy=policy)
            self._note(vectors, request, ref)
            return vectors
        chat = _read(request, body, asked, streamed=streamed)
        if request.operation == "count_tokens":
            return self._counted(request, provider, ref, chat, call_id, body)
        if request.wire == "ollama" and not chat.messages:
            return Reply(status=200, lines=_head(call_id, ref), body=_loaded(chat, asked, call_id, self._clock))
        translation = self._translations.begin(
            chat,
            asked=asked,
            call_id=call_id,
            ref=ref,
            provider=provider,
            key_id=request.principal.key_id,
            now_s=self._clock.now_us() // 1_000_000,
            context_tokens=self._room(chat, body, provider, ref) if provider.known.wire == "ollama" else None,
            array=request.wire == "gemini" and streamed and b"alt=sse" not in request.query,
        )
        self._note(translation, request, ref)
        return translation

    def _room(self, chat: ChatRequest, body: bytes, provider: Provider, ref: ModelRef) -> int:
        """Return how many tokens of context a local model needs for a request and its answer."""
        needed = _estimate(body, provider, ref) + (chat.max_output_tokens or ANSWER_ROOM_TOKENS)
        return self._contexts.at_least(ref, needed)

    def _policy_of(self, lineup: Lineup) -> LossPolicy:
        if self._policy is None or self._policy.settings is not lineup.translation:
            self._policy = LossPolicy(lineup.translation)
            self._translations = Translations(self._policy, self._signatures, self._ids)
        return self._policy

    def _counted(
        self, request: Request, provider: Provider, ref: ModelRef, chat: ChatRequest, call_id: str, body: bytes
    ) -> Translated | Reply:
        wire = provider.known.wire
        if wire in COUNTING_FORMATS:
            sent = msgspec.structs.replace(chat, model=ref.model)
            names = ToolNames(sent, translator(wire).carries)
            return Counting(request.wire, wire, names.applied(sent) if names.changes else sent, new_ids(self._ids))
        estimate = _estimate(body, provider, ref)
        return Reply(status=200, lines=[*_head(call_id, ref), _ESTIMATED], body=counted(request.wire, estimate))

    def _note(self, translation: Translated, request: Request, ref: ModelRef) -> None:
        """Say in the log what is lost, once for each key and kind of loss: an agent loses the same with every call."""
        if not translation.losses:
            return
        what = (request.principal.key_id, request.wire, str(ref), translation.losses)
        if what in self._noted:
            return
        if len(self._noted) >= MAX_NOTED:
            self._noted.clear()
        self._noted.add(what)
        log.warning(
            "calls of key %s in %s to %s lose in translation: %s; see docs/losses.md",
            request.principal.key_name or request.principal.key_id,
            request.wire,
            ref,
            ", ".join(translation.losses),
        )


def _refuse_crowd(body: bytes) -> None:
    if is_crowd(body):
        raise InvalidRequest(
            f"the body has more than {MAX_OBJECTS} objects, and would have to be translated",
            hint="send fewer messages, parts and tools, or ask a provider that speaks the client's own format",
        )


def _loaded(chat: ChatRequest, asked: str, call_id: str, clock: Clock) -> bytes:
    """Return the answer to a request of Ollama's clients that only wants the model to be loaded."""
    return OLLAMA.write_loaded(
        Asked(
            request=chat,
            model=asked,
            answer_id=call_id,
            created_s=clock.now_us() // 1_000_000,
            input_tokens_estimate=0,
            new_id=lambda prefix: prefix,
        )
    )


def _estimate(body: bytes, provider: Provider, ref: ModelRef) -> int:
    return estimate_request_tokens(body, family_of(provider.known.price_key or provider.known.kind, ref.model))


def _head(call_id: str, ref: ModelRef) -> list[bytes]:
    """Return the lines of an answer that nobody had to be asked for: it is no call, and not in the ledger."""
    named = call_id.encode()
    return [
        _JSON,
        b"x-farthing-call-id: " + named,
        b"x-farthing-provider: " + ref.provider.encode(),
        b"x-farthing-model: " + ref.model.encode("ascii", "replace"),
        b"x-request-id: " + named,
    ]


def _read(request: Request, body: bytes, asked: str, *, streamed: bool) -> ChatRequest:
    if request.operation == "ollama_generate":
        return read_generate(body, model=asked, streamed=streamed)
    return translator(request.wire).read_request(body, model=asked, streamed=streamed)

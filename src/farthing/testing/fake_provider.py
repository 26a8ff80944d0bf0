"""A provider on loopback that speaks a real wire format, misbehaves on request, and keeps exact account of its work.

Same seed, same requests: same answers, whatever order they come in. What it would bill stands in `account`, and at
`GET /__account` for other processes; `POST /__next` takes a JSON list of replies for the next requests.

    python -m farthing.testing.fake_provider --port 9901 --format anthropic
"""

import argparse
import asyncio
import hashlib
import random
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import msgspec

from farthing.clock import Clock, SystemClock
from farthing.testing.fakes.account import Account, Ended, Tariff
from farthing.testing.fakes.anthropic_messages import AnthropicMessages
from farthing.testing.fakes.author import write_answer
from farthing.testing.fakes.gemini import Gemini
from farthing.testing.fakes.http_server import ClientGone, Exchange, HttpServer, Request
from farthing.testing.fakes.ollama import Ollama
from farthing.testing.fakes.openai_chat import OpenAIChat
from farthing.testing.fakes.openai_dialects import DIALECTS
from farthing.testing.fakes.openai_responses import OpenAIResponses
from farthing.testing.fakes.prompt_cache import PromptCache
from farthing.testing.fakes.script import BEFORE_ANSWER, Reply, Script
from farthing.testing.fakes.wire_format import Asked, BadRequest, Job, Refused, WireFormat
from farthing.types.usage import Usage

MAX_REQUESTS = 1_000
"""Requests kept for tests to look at; with bodies of 100 KB that is 100 MB, and no test looks at more."""
MAX_SEEN = 100_000
"""Distinct bodies counted, 100 bytes each, so that the second of two equal requests gets an answer of its own."""
STALL_S = 60.0
"""How long a stall lasts where the client does not give up; longer than any gateway should wait in a test."""

_DIGEST_BYTES = 16


class FakeProvider:
    """One provider: `start` it, point a client at `url`, read `account`, `close` it."""

    def __init__(
        self,
        format_name: str = "openai",
        *,
        script: Script | None = None,
        player: Callable[[Asked], Reply | None] | None = None,
        models: Sequence[str] = ("fake-model",),
        only_these_models: bool = False,
        tariffs: Mapping[str, Tariff] | None = None,
        key: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.format: WireFormat = new_format(format_name)
        self.account = Account(tariffs)
        self.requests: deque[Request] = deque(maxlen=MAX_REQUESTS)
        self.replies: deque[Reply] = deque()
        self.port = 0
        self._script = script or Script()
        self._player = player
        self._models = tuple(models)
        self._only_these_models = only_these_models
        self._key = key
        self._clock = clock or SystemClock()
        self._cache = PromptCache(self._clock)
        self._seen: Counter[bytes] = Counter()
        self._server = HttpServer(self._handle)

    async def start(self, port: int = 0) -> None:
        """Listen on loopback; `port` 0 takes any free one."""
        self.port = await self._server.start(port)

    async def close(self) -> None:
        """End every connection; what was under way is on the account as left by its client."""
        await self._server.close()

    @property
    def url(self) -> str:
        """The address to configure as `base_url`; OpenAI's formats want their version in it, the others not."""
        return f"http://127.0.0.1:{self.port}" + ("" if self.format.name in _NATIVE else "/v1")

    @property
    def connections(self) -> int:
        """How many clients are connected now."""
        return self._server.connections

    def next(self, *replies: Reply) -> None:
        """Do this with the next requests, one each, in the order in which they arrive."""
        self.replies.extend(replies)

    async def _handle(self, exchange: Exchange) -> None:
        request = exchange.request
        if request.path.startswith("/__"):
            await self._administer(exchange)
            return
        self.requests.append(request)
        dice = self._dice(request)
        request_id = self.format.new_request_id(dice)
        match self.format.operation(request.method, request.path):
            case "answer":
                await self._answer(exchange, dice, request_id)
            case "models":
                await self._send_json(exchange, self.format.models(self._models))
            case "count_tokens":
                try:
                    await self._send_json(exchange, self.format.token_count(self._read(request)))
                except BadRequest as error:
                    await self._refuse(exchange, "bad_request", request_id, message=str(error))
            case None:
                await self._refuse(exchange, "no_such_path", request_id)

    async def _answer(self, exchange: Exchange, dice: random.Random, request_id: str) -> None:
        ordered = self.replies.popleft() if self.replies else None
        try:
            asked = self._read(exchange.request)
        except BadRequest as error:
            await self._refuse(exchange, "bad_request", request_id, message=str(error))
            return
        reply = ordered or (self._player(asked) if self._player else None) or self._script.reply(dice)
        credential = self.format.credential(exchange.request.headers)
        if credential is None or (self._key is not None and credential != self._key):
            await self._refuse(exchange, "unauthorized", request_id, asked)
        elif self._only_these_models and asked.model not in self._models:
            message = f"The fake has no model {asked.model!r}."
            await self._refuse(exchange, "model_not_found", request_id, asked, message=message)
        elif reply.fault in BEFORE_ANSWER:
            await self._wait_and_refuse(exchange, reply, request_id, asked)
        else:
            await _Answering(self, exchange, self._job(asked, reply, dice, request_id), reply).run()

    def _read(self, request: Request) -> Asked:
        try:
            return self.format.read(request.json(), request.path)
        except msgspec.DecodeError as error:
            raise BadRequest(f"The body is not JSON: {error}") from error

    def _job(self, asked: Asked, reply: Reply, dice: random.Random, request_id: str) -> Job:
        answer = write_answer(dice, asked.wanted, reply)
        served = self.format.served_as(asked.model)
        cached = self.format.consume(self._cache, served, asked)
        return Job(
            request_id=request_id,
            asked=asked,
            model_served=served,
            answer=answer,
            usage=Usage(
                input_tokens=asked.input_tokens,
                output_tokens=answer.tokens,
                cache_read_input_tokens=cached.read,
                cache_creation_5m_input_tokens=cached.written_5m,
                cache_creation_1h_input_tokens=cached.written_1h,
                reasoning_output_tokens=len(answer.reasoning),
            ),
            tariff=self.account.tariff(served) or self.account.tariff(asked.model),
            created_s=self._clock.now_us() // 1_000_000,
            dice=dice,
        )

    async def _wait_and_refuse(self, exchange: Exchange, reply: Reply, request_id: str, asked: Asked) -> None:
        assert reply.fault is not None
        await exchange.wait(reply.first_output_delay_s)
        if reply.fault == "hang_up":
            exchange.hang_up()
            self._put_on_account(request_id, asked, 0, "refused", reply.fault)
            return
        await self._refuse(exchange, reply.fault, request_id, asked, retry_after_s=reply.retry_after_s)

    async def _refuse(
        self,
        exchange: Exchange,
        why: Refused,
        request_id: str,
        asked: Asked | None = None,
        *,
        retry_after_s: int = 1,
        message: str = "",
    ) -> None:
        refusal = self.format.refusal(why, request_id, retry_after_s=retry_after_s, message=message)
        if asked is not None:
            self._put_on_account(request_id, asked, refusal.status, "refused", why)
        await exchange.answer(refusal.status, refusal.body, refusal.headers)

    def _put_on_account(self, request_id: str, asked: Asked, status: int, ended: Ended, fault: str) -> None:
        self.account.close(
            request_id=request_id,
            model_asked=asked.model,
            model_served=self.format.served_as(asked.model),
            streamed=asked.streamed,
            status=status,
            ended=ended,
            fault=fault,
            told=False,
            usage=Usage(input_tokens=0, output_tokens=0),
        )

    def _dice(self, request: Request) -> random.Random:
        """The seed, the request and how often it came before decide; the order of different requests does not."""
        told = f"{self._script.seed} {self.format.name} {request.path}\n".encode() + request.body
        digest = hashlib.sha256(told).digest()[:_DIGEST_BYTES]
        times = self._seen[digest]
        if len(self._seen) < MAX_SEEN:
            self._seen[digest] = times + 1
        return random.Random(digest + times.to_bytes(8, "big"))

    async def _administer(self, exchange: Exchange) -> None:
        request = exchange.request
        match request.method, request.path.partition("?")[0]:
            case "GET", "/__account":
                account = {"totals": self.account.totals(), "requests": self.account.lines}
                await self._send_json(exchange, msgspec.json.encode(account))
            case "POST", "/__next":
                try:
                    self.next(*msgspec.json.decode(request.body, type=list[Reply]))
                except msgspec.MsgspecError as error:
                    await self._send_json(exchange, msgspec.json.encode({"error": str(error)}), 400)
                    return
                await self._send_json(exchange, msgspec.json.encode({"waiting": len(self.replies)}))
            case _:
                known = "the fake has GET /__account and POST /__next"
                await self._send_json(exchange, msgspec.json.encode({"error": known}), 404)

    async def _send_json(self, exchange: Exchange, body: bytes, status: int = 200) -> None:
        await exchange.answer(status, body, {"content-type": "application/json"})


class _Answering:
    """Sends one answer, or as much of it as its fault and its client allow, and puts it on the account."""

    def __init__(self, provider: FakeProvider, exchange: Exchange, job: Job, reply: Reply) -> None:
        self._provider = provider
        self._exchange = exchange
        self._job = job
        self._reply = reply
        self._tokens = self._reasoning_tokens = 0
        self._told = False
        breaks_after = reply.fault_after_tokens
        if breaks_after is None:
            breaks_after = job.answer.tokens // 2
        self._breaks_after = breaks_after if reply.fault is not None else None

    async def run(self) -> None:
        """Send the answer; returns with the account written, whatever happens."""
        ended: Ended = "client_gone"
        try:
            ended = await (self._stream() if self._job.asked.streamed else self._whole())
        finally:  # the client may leave, and the fake may be closed, at any time
            self._close(ended)

    async def _stream(self) -> Ended:
        exchange, reply, job = self._exchange, self._reply, self._job
        form = self._provider.format
        await exchange.begin(200, form.headers(job.request_id, streamed=True))
        waited = False
        for event in form.stream(job):
            if self._breaks_after is not None and event.tokens and self._tokens >= self._breaks_after:
                return await self._break()
            if not waited and not event.data.startswith(b":"):  # comments pass the time until there is an answer
                waited = True
                await exchange.wait(reply.first_output_delay_s)
            if event.data:
                await exchange.write(event.data)
            self._tokens += event.tokens
            self._reasoning_tokens += event.reasoning_tokens
            self._told = self._told or event.tells_usage
            await exchange.wait(reply.token_delay_s * event.tokens)
        if self._breaks_after is not None:
            return await self._break()
        await exchange.end()
        return "answered"

    async def _break(self) -> Ended:
        exchange = self._exchange
        match self._reply.fault:
            case "error_in_answer":
                await exchange.write(self._provider.format.error_event(self._job))
                await exchange.end()
            case "stall":
                try:
                    await exchange.wait(STALL_S)
                finally:
                    exchange.hang_up()
            case _:
                exchange.hang_up()
        return "broken"

    async def _whole(self) -> Ended:
        exchange, reply, job = self._exchange, self._reply, self._job
        form = self._provider.format
        await self._produce(reply.first_output_delay_s)
        body = form.whole(job)
        headers = form.headers(job.request_id, streamed=False)
        match reply.fault:
            case None:
                await exchange.answer(200, body, headers)
                self._told = True
                return "answered"
            case "error_in_answer" if form.name == "openrouter":
                failed = msgspec.json.encode({"error": {"code": 502, "message": "The fake's provider went away."}})
                await exchange.answer(200, failed, headers)
            case "error_in_answer":
                refusal = form.refusal("server_error", job.request_id)
                self._tokens = self._reasoning_tokens = 0
                await exchange.answer(refusal.status, refusal.body, refusal.headers)
                return "refused"
            case "stall":
                try:
                    await exchange.wait(STALL_S)
                finally:
                    exchange.hang_up()
            case _:
                await exchange.answer(200, body, headers, send_bytes=len(body) // 2)
        return "broken"

    async def _produce(self, delay_s: float) -> None:
        """Let the answer come into being, unseen; a client that leaves is billed for what there is by then."""
        await self._exchange.wait(delay_s)
        answer, loop = self._job.answer, asyncio.get_running_loop()
        lasts_s = answer.tokens * self._reply.token_delay_s
        began = loop.time()
        try:
            await self._exchange.wait(lasts_s)
        except ClientGone:
            self._tokens = min(int((loop.time() - began) / lasts_s * answer.tokens), answer.tokens) if lasts_s else 0
            self._reasoning_tokens = min(self._tokens, len(answer.reasoning))
            raise
        self._tokens, self._reasoning_tokens = answer.tokens, len(answer.reasoning)

    def _close(self, ended: Ended) -> None:
        job = self._job
        produced = msgspec.structs.replace(
            job.usage, output_tokens=self._tokens, reasoning_output_tokens=self._reasoning_tokens
        )
        if ended == "refused":
            produced = Usage(input_tokens=0, output_tokens=0)
        self._provider.account.close(
            request_id=job.request_id,
            model_asked=job.asked.model,
            model_served=job.model_served,
            streamed=job.asked.streamed,
            status=500 if ended == "refused" else 200,
            ended=ended,
            fault=self._reply.fault,
            told=self._told,
            usage=produced,
        )


_NATIVE: Mapping[str, Callable[[], WireFormat]] = {
    "anthropic": AnthropicMessages,
    "gemini": Gemini,
    "ollama": Ollama,
}
FORMATS = (*DIALECTS, *_NATIVE, "openai-responses")


def new_format(name: str) -> WireFormat:
    """Return the wire format of that name; raises `ValueError` naming the known ones."""
    if name in _NATIVE:
        return _NATIVE[name]()
    if name == "openai-responses":
        return OpenAIResponses()
    if name in DIALECTS:
        return OpenAIChat(name)
    raise ValueError(f"Unknown format {name!r}; known: {', '.join(FORMATS)}")


@contextmanager
def in_thread(*providers: FakeProvider) -> Iterator[None]:
    """Run fakes on an event loop of their own, for tests and scripts that have none."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="fake-providers", daemon=True)
    thread.start()

    def wait_for(work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result(10)

    try:
        for provider in providers:
            wait_for(provider.start())
        yield
    finally:
        for provider in providers:
            wait_for(provider.close())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _serve(provider: FakeProvider, port: int) -> None:
    await provider.start(port)
    print(f"a fake {provider.format.name} listens on {provider.url}", flush=True)
    await asyncio.Event().wait()


def main(arguments: Sequence[str] | None = None) -> Literal[0]:
    """Serve one fake until a signal."""
    parser = argparse.ArgumentParser(prog="python -m farthing.testing.fake_provider", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes any free one")
    parser.add_argument("--format", choices=FORMATS, default="openai")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", action="append", help="a model to list; may be given several times")
    parser.add_argument("--first-output-delay-s", type=float, default=0.0)
    parser.add_argument("--token-delay-s", type=float, default=0.0)
    chosen = parser.parse_args(arguments)
    script = Script(chosen.seed, first_output_delay_s=chosen.first_output_delay_s, token_delay_s=chosen.token_delay_s)
    provider = FakeProvider(chosen.format, script=script, models=chosen.model or ("fake-model",))
    try:
        asyncio.run(_serve(provider, chosen.port))
    except KeyboardInterrupt:
        print(f"\n{provider.account.totals()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

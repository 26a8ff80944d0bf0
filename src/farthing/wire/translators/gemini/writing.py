"""Requests written for Gemini: what grows, the contents, comes last, and the same request is the same bytes.

What surprised us: neighbours of one role have to be joined; Google wants as many function responses in a turn as there
were calls. A response is an object: `output` and `error` are what Google reads in one, and an object of another shape
is taken as a whole. Gemini 3 is told how much to think in levels, 2.5 in tokens; aliases such as `gemini-flash-latest`
take tokens whatever they stand for. Only the first call of a step needs a signature. A seed has 32 bits.
"""

from typing import Any

import msgspec

from farthing.types.chat import (
    ChatRequest,
    Foreign,
    Image,
    Inline,
    Message,
    Part,
    Reasoning,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from farthing.wire.lenient import UNREADABLE
from farthing.wire.translators.efforts import budget_of, effort_of
from farthing.wire.translators.features import Feature, Used
from farthing.wire.translators.gemini.chunks import on_one_line
from farthing.wire.translators.gemini.names import STAND_IN, Family, media_of, signature_text
from farthing.wire.translators.reading import refuse

MAX_STOPS = 5
"""As many stop sequences does Google take."""
_MAX_SEED = (1 << 31) - 1
_NAMELESS = "tool"
_TIERS = {"flex": "flex", "priority": "priority", "standard": "standard", "default": "standard"}
_ANSWERED = ("application/pdf", "text/plain")
_objects = msgspec.json.Decoder(dict[str, Any])


def write_request(request: ChatRequest, left_out: list[Used] | None = None) -> bytes:
    """See `Translator.write_request`."""
    members = members_of(request)
    thinks = "thinkingConfig" in members.get("generationConfig", ())
    if left_out is not None and request.reasoning is not None and not thinks:
        left_out.append(Used(Feature.REASONING, "reasoning"))
    return msgspec.json.encode(members)


def members_of(request: ChatRequest) -> dict[str, Any]:
    """Return a request's members, the contents last."""
    family = Family(request.model)
    system, contents = _Contents(request, family).written()
    members: dict[str, Any] = {}
    if system:
        members["systemInstruction"] = {"parts": system}
    if tools := _tools(request):
        members["tools"] = tools
    if (choice := request.tool_choice) is not None and request.tools:
        members["toolConfig"] = {"functionCallingConfig": _calling(choice)}
    if config := _config(request, family):
        members["generationConfig"] = config
    if tier := _TIERS.get(request.service_tier or ""):
        members["serviceTier"] = tier
    members["contents"] = contents
    return members


def _tools(request: ChatRequest) -> list[Any]:
    declared: list[dict[str, Any]] = []
    for tool in request.tools:
        row: dict[str, Any] = {"name": tool.name}
        if tool.description is not None:
            row["description"] = tool.description
        if tool.parameters is not None:
            row["parametersJsonSchema"] = msgspec.Raw(tool.parameters)
        declared.append(row)
    tools: list[Any] = [{"functionDeclarations": declared}] if declared else []
    return tools + [msgspec.Raw(tool.raw) for tool in request.server_tools if tool.origin == "gemini"]


def _calling(choice: ToolChoice) -> dict[str, Any]:
    if choice.mode == "none":
        return {"mode": "NONE"}
    if not choice.named:
        return {"mode": "ANY" if choice.mode == "required" else "AUTO"}
    return {
        "mode": "ANY" if choice.mode == "required" else "VALIDATED",  # the only mode but ANY that takes names
        "allowedFunctionNames": list(choice.named),
    }


def _config(request: ChatRequest, family: Family) -> dict[str, Any]:
    shape = request.shape
    config: dict[str, Any] = {
        "temperature": request.temperature,
        "topP": request.top_p,
        "topK": request.top_k,
        "maxOutputTokens": request.max_output_tokens,
        "stopSequences": list(request.stop[:MAX_STOPS]) or None,
        "candidateCount": request.n,
        "seed": None if request.seed is None else _seed(request.seed),
        "presencePenalty": request.presence_penalty or None,  # models without penalties refuse the mere member
        "frequencyPenalty": request.frequency_penalty or None,
        "responseMimeType": None if shape is None else "application/json",
        "responseJsonSchema": None if shape is None or shape.schema is None else msgspec.Raw(shape.schema),
        "responseLogprobs": request.logprobs or None,
        "logprobs": (request.top_logprobs or None) if request.logprobs else None,
        "thinkingConfig": None if request.reasoning is None else _thinking(request.reasoning, family),
    }
    return {name: value for name, value in config.items() if value is not None}


def _seed(seed: int) -> int:
    """Return a seed of 32 bits; the same for the same."""
    return seed if -_MAX_SEED <= seed <= _MAX_SEED else seed & _MAX_SEED


def _thinking(reasoning: Reasoning, family: Family) -> dict[str, Any] | None:
    if not family.thinks:
        return None  # Google refuses the member; there is nothing to think less or more
    off = reasoning.off or reasoning.effort == "none"
    config: dict[str, Any] = {"includeThoughts": reasoning.shown is not False and not off}
    if family.levels:
        if (level := _level(reasoning, family, off=off)) is not None:
            config["thinkingLevel"] = level
    elif (budget := _budget(reasoning, family, off=off)) is not None:
        config["thinkingBudget"] = budget
    return config


def _level(reasoning: Reasoning, family: Family, *, off: bool) -> str | None:
    effort = "minimal" if off else reasoning.effort
    if effort is None and reasoning.budget_tokens is not None:
        effort = effort_of(reasoning.budget_tokens)
    match effort:
        case None:
            return None
        case "none" | "minimal":
            return "MINIMAL" if family.minimal else "LOW"
        case "low":
            return "LOW"
        case "medium":
            return "MEDIUM"
        case _:
            return "HIGH"


def _budget(reasoning: Reasoning, family: Family, *, off: bool) -> int | None:
    if off:
        return 0 if family.can_stop_thinking else family.least_budget
    if reasoning.budget_tokens is not None:
        wanted = reasoning.budget_tokens
    elif reasoning.effort is not None:
        wanted = budget_of(reasoning.effort)
    else:
        return -1 if reasoning.adaptive else None
    return max(family.least_budget, min(wanted, family.most_budget))


class _Contents:
    """Writes the messages of one request; neighbours of one role become one turn."""

    __slots__ = ("_contents", "_family", "_names", "_request", "_system", "_unsigned")

    def __init__(self, request: ChatRequest, family: Family) -> None:
        self._request = request
        self._family = family
        self._names: dict[str, str] = {}
        self._contents: list[dict[str, Any]] = []
        self._system: list[Any] = []
        self._unsigned = False

    def written(self) -> tuple[list[Any], list[dict[str, Any]]]:
        """Return the parts of the system's instruction, and the contents."""
        began = False
        for message in self._request.messages:
            began = began or message.role != "system"
            if message.role == "assistant":
                self._add("model", self._said(message))
            elif message.role == "system":
                self._take_system(message, late=began)
            else:
                self._add("user", self._shown(message))
        if self._contents:
            return self._system, self._contents
        if not self._system:
            refuse("messages", "without a word for Gemini", "at least one message that says or shows something")
        # There must be something to answer: who gives instructions alone means them as a question.
        return [], [{"role": "user", "parts": self._system}]

    def _add(self, role: str, parts: list[Any]) -> None:
        if not parts:
            return
        contents = self._contents
        if contents and contents[-1]["role"] == role:
            contents[-1]["parts"] += parts
        else:
            contents.append({"role": role, "parts": parts})

    def _take_system(self, message: Message, *, late: bool) -> None:
        for part in message.content:
            if not isinstance(part, Text | Refusal):
                self._add("user", [shown for shown in (_plain(part),) if shown is not None])
            elif part.text and late:
                self._add("user", [{"text": f"<system-message>\n{part.text}\n</system-message>"}])
            elif part.text:
                self._system.append({"text": part.text})

    def _said(self, message: Message) -> list[Any]:
        """Return the parts of a turn of the model's."""
        parts: list[Any] = []
        new_step = not (self._contents and self._contents[-1]["role"] == "model")
        self._unsigned = (self._unsigned or new_step) and self._family.signed
        for part in message.content:
            if isinstance(part, ToolCall):
                parts.append(self._called(part))
            elif (plain := _plain(part)) is not None:
                parts.append(plain)
        return parts

    def _called(self, call: ToolCall) -> dict[str, Any]:
        self._names[call.id] = call.name
        written: dict[str, Any] = {
            "functionCall": {"id": call.id, "name": call.name, "args": object_of(call.arguments)}
        }
        signature = signature_text(call.signature)
        if signature is not None or self._unsigned:
            written["thoughtSignature"] = signature or STAND_IN
        self._unsigned = False
        return written

    def _shown(self, message: Message) -> list[Any]:
        """Return the parts of a turn of the user's, or of the tools'."""
        self._unsigned = False
        parts: list[Any] = []
        beside: list[Any] = []
        for part in message.content:
            if isinstance(part, ToolResult):
                parts.append({"functionResponse": self._result(part, beside)})
            elif (plain := _plain(part)) is not None:
                parts.append(plain)
        return parts + beside

    def _result(self, result: ToolResult, beside: list[Any]) -> dict[str, Any]:
        texts = [piece.text for piece in result.content if isinstance(piece, Text)]
        inside: list[Any] = []
        for piece in result.content:
            if not isinstance(piece, Text) and (plain := _plain(piece)) is not None:
                (inside if self._family.levels and _may_answer(piece) else beside).append(plain)
        written = {
            "id": result.call_id,
            "name": result.name or self._names.get(result.call_id) or _NAMELESS,
            "response": _response("\n".join(texts), is_error=result.is_error),
        }
        return written | {"parts": inside} if inside else written


def _plain(part: Part) -> Any:
    """Return a part that is the same whoever says it; none for what Gemini cannot be told."""
    match part:
        case Text():
            signature = signature_text(part.signature)
            if signature is not None:
                return {"text": part.text, "thoughtSignature": signature}
            return {"text": part.text} if part.text else None
        case Refusal():
            return {"text": part.text} if part.text else None
        case Thinking():
            # What others thought Google does not want; its own thoughts it wants only for what seals them.
            signature = signature_text(part.signature)
            return signature and {"text": part.text, "thought": True, "thoughtSignature": signature}
        case Foreign():
            return msgspec.Raw(part.raw) if part.origin == "gemini" else None
        case _:
            if (media := media_of(part)) is not None:
                return media
            transcript = getattr(part, "transcript", None)
            return {"text": transcript} if transcript else None


def _may_answer(part: Part) -> bool:
    """Whether a function's response may hold it: Gemini 3 takes pictures and documents there, as bytes."""
    source = getattr(part, "source", None)
    return isinstance(source, Inline) and (isinstance(part, Image) or source.media_type in _ANSWERED)


def _response(text: str, *, is_error: bool) -> Any:
    if is_error:
        return {"error": text}
    if text.lstrip()[:1] == "{":
        given = _decoded(text)
        if given and not (len(given) == 1 and given.keys() <= {"output", "result", "error"}):
            return msgspec.Raw(text.encode())
    return {"output": text}


def object_of(arguments: str) -> Any:
    """Return a call's arguments as JSON on one line; what is no object goes into one."""
    if arguments in ("{}", ""):
        return {}
    given = _decoded(arguments)
    if given is None:
        return {"input": arguments} if arguments.strip() else {}
    return msgspec.Raw(on_one_line(arguments.encode()))


def _decoded(text: str) -> dict[str, Any] | None:
    try:
        return _objects.decode(text)
    except UNREADABLE:
        return None

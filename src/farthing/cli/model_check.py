"""Whether the gateway knows the model that an agent is to ask for, before the agent fails over it in its own words."""

import json
from typing import TYPE_CHECKING
from urllib.parse import quote

from farthing.errors import ConfigError

if TYPE_CHECKING:
    from farthing.cli.serving_now import Address

_NOT_FOUND = 404


def refuse_unknown(gateway: "Address", key: str, model: str | None) -> None:
    """Raise where no provider of the gateway can be meant by a model's name.

    A name that several providers have is left to the agent's calls: which of them is meant hangs on the agent's format.

    Raises:
        ConfigError: in the gateway's own words.
    """
    if not model:
        return
    try:
        status, body = gateway.get(f"/k/{quote(key)}/v1/models/{quote(model, safe=':/')}")
        message = json.loads(body)["error"]["message"] if status == _NOT_FOUND else None
    except (OSError, ValueError, KeyError, TypeError):
        return  # then the agent's first call says it
    if isinstance(message, str):
        told, _, hint = message.partition(" (hint: ")
        raise ConfigError(f"--model: {told}", hint=hint.removesuffix(")") or None)

"""What a model can do, as Ollama's /api/show tells it of models that are not Ollama's.

What surprised us: editors ask for it before they offer a model, hide one without `tools`, and take the length of its
context from a member that is named after its architecture: `<architecture>.context_length`.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

_USUAL = ("completion", "tools")
"""What nearly every model that is sold can do; what else it can is claimed where it is known only."""
_NO_DETAILS = {
    "parent_model": "",
    "format": "",
    "family": "",
    "families": [],
    "parameter_size": "",
    "quantization_level": "",
}
_EPOCH = "1970-01-01T00:00:00Z"


def write_shown(family: str, *, capabilities: Sequence[str] | None = None, context_tokens: int | None = None) -> bytes:
    """Return the answer of /api/show for another provider's model.

    `family` stands for its architecture: the provider's name will do. `capabilities` are Ollama's words (`completion`,
    `tools`, `vision`, `thinking`, `embedding`); `None` where they are not known.
    """
    info: dict[str, Any] = {"general.architecture": family}
    if context_tokens is not None:
        info[f"{family}.context_length"] = context_tokens
    return msgspec.json.encode(
        {
            "modelfile": "",
            "parameters": "",
            "template": "",
            "details": {**_NO_DETAILS, "family": family, "families": [family]},
            "model_info": info,
            "capabilities": list(_USUAL if capabilities is None else capabilities),
            "modified_at": _EPOCH,
        }
    )

"""aider: OpenAI's format by default, Anthropic's and the others' where a model's prefix asks for them.

It reads `.env` files over the environment it is started with, and its own options over those (0.86.2); so what counts
is said in options, which it takes from variables too: arguments every account of the machine could read.
"""

from farthing.cli.agents.protocol import Asked, Edit, LineEdit, Start


class Aider:
    """See `Agent`."""

    name = "aider"
    program = "aider"
    lists_models = False

    def start(self, asked: Asked) -> Start:
        """See `Agent.start`."""
        elsewhere = {
            "ANTHROPIC_API_BASE": asked.url,
            "GEMINI_API_BASE": f"{asked.url}/v1beta",
            "OLLAMA_API_BASE": asked.url_with_key,
        }
        options = {
            "AIDER_OPENAI_API_BASE": f"{asked.url}/v1",
            "AIDER_OPENAI_API_KEY": asked.key,
            "AIDER_ANTHROPIC_API_KEY": asked.key,
            "AIDER_SET_ENV": "[" + ", ".join(f"{name}={value}" for name, value in elsewhere.items()) + "]",
            "AIDER_API_KEY": f"[gemini={asked.key}]",
        }
        plain = {
            "OPENAI_API_BASE": f"{asked.url}/v1",
            "OPENAI_API_KEY": asked.key,
            "ANTHROPIC_API_KEY": asked.key,
            "GEMINI_API_KEY": asked.key,
        }
        model = {} if asked.model is None else dict.fromkeys(_MODEL_OPTIONS, f"openai/{asked.model}")
        return Start(arguments=asked.arguments, variables={**plain, **elsewhere, **options, **model})

    def edits(self, asked: Asked) -> tuple[Edit, ...]:
        """See `Agent.edits`."""
        told = {"openai-api-base": f"{asked.url}/v1", "openai-api-key": asked.key}
        if asked.model is not None:
            told |= {"model": f"openai/{asked.model}", "weak-model": f"openai/{asked.model}"}
        lines = tuple(f'{name}: "{value}"' for name, value in told.items())
        return (LineEdit(asked.user_home / ".aider.conf.yml", "yaml", rf"({'|'.join(told)})\s*:", end=lines),)


_MODEL_OPTIONS = ("AIDER_MODEL", "AIDER_WEAK_MODEL", "AIDER_EDITOR_MODEL")
"""aider names commits and sums up with a weak model; whoever names one model wants no other's name asked for."""

AGENT = Aider()

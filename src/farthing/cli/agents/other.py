"""Any other command: each client library's own variables, all of them at once."""

from farthing.cli.agents.protocol import Asked, Edit, Start


class Other:
    """See `Agent`."""

    lists_models = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.program = name

    def start(self, asked: Asked) -> Start:
        """See `Agent.start`."""
        return Start(
            arguments=asked.arguments,
            variables={
                "OPENAI_BASE_URL": f"{asked.url}/v1",
                "OPENAI_API_BASE": f"{asked.url}/v1",
                "OPENAI_API_KEY": asked.key,
                "ANTHROPIC_BASE_URL": asked.url,
                "ANTHROPIC_API_KEY": asked.key,
                "GOOGLE_GEMINI_BASE_URL": asked.url,
                "GEMINI_API_KEY": asked.key,
                "OLLAMA_HOST": asked.url_with_key,
            },
        )

    def edits(self, asked: Asked) -> tuple[Edit, ...]:
        """Nobody knows its settings."""
        del asked
        return ()

"""Write docs/losses.md from what the formats declare: what each pair of them cannot carry.

    python tools/write_losses.py            writes the page
    python tools/write_losses.py --check    says whether the committed page is what the code says

Nothing about losses is written by hand: a format declares what it carries, and what a pair loses is the difference.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from farthing.types.providers import WireFormat
from farthing.wire.translators.features import Feature
from farthing.wire.translators.registry import CHAT_FORMATS, translator

PAGE = Path(__file__).resolve().parent.parent / "docs" / "losses.md"
_NAMES: dict[WireFormat, str] = {
    "openai_chat": "chat",
    "openai_responses": "responses",
    "openai_completions": "completions",
    "anthropic_messages": "messages",
    "gemini": "Gemini",
    "ollama": "Ollama",
}
_ONLY_ONE_KNOWS = (
    Feature.UNKNOWN_FIELDS,
    Feature.FOREIGN_PARTS,
    Feature.FOREIGN_HISTORY,
    Feature.CITATIONS_HISTORY,
    Feature.SERVER_TOOLS,
    Feature.FILES,
)


def page() -> str:
    """Return the page."""
    parts = [
        "# What a translation cannot carry\n",
        "<!-- Made by tools/write_losses.py from the code. Change it there. -->\n",
        "A call whose provider speaks the client's own format is passed through: nothing is lost, not a byte. For any",
        "other the request is translated, and what the other format has no place for is a loss with a name. One that",
        "changes what the request means is refused (400, in the client's own words); of any other the client is told",
        "in the header `x-farthing-loss`, the log says it, and `farthing calls show CALL` shows it. `translation:` in",
        "settings.yaml decides otherwise, for all of them or one by one:\n",
        "```yaml",
        "translation:",
        "  meaning: refuse       # refuse | warn | pass: losses that change the meaning",
        "  rest: warn            # the others",
        "  logprobs: warn        # a single one, by its name in the table",
        "```\n",
        "## Which format carries what\n",
        "`yes`: it is carried. `refused`, `told`: it is lost, and that is what happens unless the settings say",
        "otherwise. What only one format knows (its own tools, files, parts and members) no other carries.\n",
        "| name | what it is | " + " | ".join(_NAMES.values()) + " |",
        "|---|---|" + "---|" * len(_NAMES),
    ]
    parts += [_row(feature) for feature in Feature]
    parts += ["\n## From each client to each provider\n", "What a request of the format may have, and loses.\n"]
    for face in CHAT_FORMATS:
        parts += [f"### {_NAMES[face]}\n", "| to | refused | told |", "|---|---|---|"]
        parts += [_pair(face, wire) for wire in CHAT_FORMATS if wire != face]
        parts.append("")
    parts += [
        "## What comes back\n",
        "Which parts of an answer a client of the format can be shown; the others are left out.\n",
        "| format | shows |",
        "|---|---|",
    ]
    parts += [
        f"| {_NAMES[wire]} | {', '.join(sorted(translator(wire).answers_carry)).replace('_', ' ')} |"
        for wire in CHAT_FORMATS
    ]
    parts += [
        "\n## What is written otherwise\n",
        "Nothing is lost by these, so nobody is told of them:\n",
        "- A provider of messages demands a limit. Where the client names none it is 32,000 tokens for a Claude from",
        "  4.0 on, 8,192 for any other model and 4,096 for Claudes before 3.5.",
        "- A provider of responses takes no limit under 16 tokens: a smaller one becomes 16. It is told to keep",
        "  nothing (`store: false`) unless the client asks for that.",
        "- An Ollama is asked for as much context (`num_ctx`) as the request and its answer need, unless the client",
        "  says how much.",
        "- A tool whose name the provider would refuse is spelled otherwise there, and by its own name in the answer.",
    ]
    return "\n".join(parts) + "\n"


def _row(feature: Feature) -> str:
    lost = "refused" if feature.changes_meaning else "told"
    cells = ["yes" if feature in translator(wire).carries else lost for wire in CHAT_FORMATS]
    return f"| `{feature.label}` | {feature.words} | {' | '.join(cells)} |"


def _pair(face: WireFormat, wire: WireFormat) -> str:
    lost = (translator(face).carries | set(_ONLY_ONE_KNOWS)) - translator(wire).carries
    refused = _listed(feature.label for feature in Feature if feature in lost and feature.changes_meaning)
    told = _listed(feature.label for feature in Feature if feature in lost and not feature.changes_meaning)
    return f"| {_NAMES[wire]} | {refused} | {told} |"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "nothing"


def main() -> int:
    """Write the page, or with `--check` say whether it is as it should be."""
    if "--check" in sys.argv[1:]:
        same = PAGE.exists() and PAGE.read_text(encoding="utf-8") == page()
        print("docs/losses.md is " + ("as the code says" if same else "not: run python tools/write_losses.py"))
        return 0 if same else 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

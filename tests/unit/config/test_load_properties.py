import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farthing.config.load import load_settings
from farthing.errors import ConfigError
from farthing.types.providers import KnownProvider

KNOWN = {
    "openai": KnownProvider(
        kind="openai", wire="openai_chat", base_url="https://api.openai.example/v1", credential_env="OPENAI_API_KEY"
    )
}
WORDS = st.sampled_from(
    [
        *("version", "server", "providers", "models", "prices", "openai", "credential", "base_url", "timeouts", "port"),
        *("kind", "model", "input", "output", "unpriced", "host", "env:X", "openai:x", "http://", "1", "-0.5", "none"),
        *(
            ": ",
            "- ",
            "\n",
            "\n  ",
            "\n    ",
            "{",
            "}",
            "[",
            "]",
            ", ",
            "&a ",
            "*a",
            "'",
            '"',
            "#",
            "---",
            "|",
            ">",
            "? ",
        ),
    ]
)
ANYTHING = st.lists(WORDS | st.text(max_size=3), max_size=60).map("".join)


def nested(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    entries = st.lists(st.tuples(WORDS.filter(str.isidentifier), children).map(": ".join), max_size=5).map(", ".join)
    return entries.map("{{{}}}".format) | st.lists(children, max_size=3).map(", ".join).map("[{}]".format)


WELL_FORMED = st.recursive(
    WORDS.filter(lambda word: word.isalnum() or "." in word) | st.just(""), nested, max_leaves=20
)


@settings(max_examples=300, deadline=None)
@given(text=ANYTHING | WELL_FORMED)
def test_whatever_the_file_says_is_settings_or_a_config_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    told = ""
    try:
        load_settings(file, known=KNOWN, environment={})
    except ConfigError as error:
        told = error.message
    assert all(line.startswith(f"{file}:") for line in told.split("\n") if line)

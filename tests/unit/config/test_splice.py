from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farthing.config.first_start import FIRST_SETTINGS
from farthing.config.load import load_settings
from farthing.config.schema import Settings
from farthing.config.splice import add_provider, remove_provider
from farthing.errors import ConfigError
from farthing.providers.registry import known_providers

KNOWN = known_providers()
ENVIRONMENT = {"OPENAI_API_KEY": "sk", "GROQ_API_KEY": "sk"}
LAB = {"kind": "openai-compatible", "base_url": "http://127.0.0.1:8000/v1", "free": "true"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "settings.yaml"


def add(path: Path, name: str, fields: Mapping[str, str]) -> Settings:
    return add_provider(path, name, fields, known=KNOWN, environment=ENVIRONMENT)


def remove(path: Path, name: str) -> Settings:
    return remove_provider(path, name, known=KNOWN, environment=ENVIRONMENT)


STYLES = {
    "block": (
        "version: 1\nproviders:   # ours\n  # the first\n  openai: {credential: env:OPENAI_API_KEY}  # dear\n\n# end\n"
    ),
    "nested": (
        "providers:\n    openai:\n        kind: openai\n        timeouts:\n            idle_s: 5\n"
        "    # below\nunpriced: allow\n"
    ),
    "flow": "providers: {openai: {credential: env:OPENAI_API_KEY}} # one line\nmodels: {fast: 'openai:gpt-5'}\n",
    "multi-line flow": "providers: {\n  openai: {\n    credential: env:OPENAI_API_KEY,\n  },\n}\n",
    "empty": "providers:\n  # nothing yet\nunpriced: refuse\n",
    "null": "providers: ~  # nothing\nmodels:\n",
    "empty flow": "providers: {}\n",
    "absent": "version: 1\n# no providers\nserver: {port: 0}",
    "windows": "version: 1\r\nproviders:\r\n  openai: {credential: env:OPENAI_API_KEY}\r\n# end\r\n",
    "no line end": "providers:\n  openai: {credential: env:OPENAI_API_KEY}",
    "no value": "providers:\n  openai:\n  groq:\n\n\n# far below\n",
    "bom": "\ufeffversion: 1\nproviders:\n  openai: {credential: env:OPENAI_API_KEY}\n",
    "quoted": '"providers":\n  "openai": {"credential": "env:OPENAI_API_KEY"}\n',
    "list in the middle": "prices:\n- {model: 'openai:*', input: 1, output: 2}\nproviders:\n  openai:\nmodels:\n",
    "nothing": "",
}


@pytest.mark.parametrize("text", STYLES.values(), ids=STYLES)
def test_what_is_added_and_removed_again_leaves_every_byte_as_it_was(path: Path, text: str) -> None:
    path.write_bytes(text.encode())
    before = load_settings(path, known=KNOWN, environment=ENVIRONMENT)
    named = "openai" in text
    after = add(path, "lab", LAB)
    assert after.providers["lab"].free
    assert set(after.providers) == {"lab", *(before.providers if named else ())}
    grown = path.read_bytes().decode()
    lines = [line for line in text.split("\n") if "providers" not in line]
    assert all(line in grown for line in lines)
    assert (path.parent / "settings.yaml.bak").read_bytes() == text.encode()

    remove(path, "lab")
    left = path.read_bytes().decode()
    if text not in (STYLES["null"], STYLES["absent"], STYLES["nothing"]):  # there more than an entry was written
        assert left.rstrip("\r\n") == text.rstrip("\r\n")
    assert load_settings(path, known=KNOWN, environment=ENVIRONMENT).models == before.models


def test_a_comment_stays_with_what_it_is_about(path: Path) -> None:
    path.write_text(STYLES["block"])
    add(path, "lab", LAB)
    assert path.read_text() == STYLES["block"].replace(
        "# dear\n",
        "# dear\n  lab: {kind: openai-compatible, base_url: http://127.0.0.1:8000/v1, free: true}\n",
    )
    remove(path, "openai")
    assert "  # the first\n  lab:" in path.read_text()


def test_without_a_file_the_first_one_is_written_with_its_comments(path: Path) -> None:
    settings = add(path, "groq", {"credential": "env:GROQ_API_KEY"})
    assert list(settings.providers) == ["groq"]
    line = "  groq: {credential: env:GROQ_API_KEY}\n"
    assert path.read_text() == FIRST_SETTINGS.replace("providers:\n", f"providers:\n{line}", 1)
    assert path.stat().st_mode & 0o777 == 0o600
    assert not (path.parent / "settings.yaml.bak").exists()


def test_a_name_that_is_taken_is_told_with_its_line(path: Path) -> None:
    path.write_text(STYLES["block"])
    with pytest.raises(ConfigError, match=r"'openai' exists already \(.*settings.yaml:4\)"):
        add(path, "openai", {})
    assert path.read_text() == STYLES["block"]


def test_what_is_used_is_not_removed(path: Path) -> None:
    path.write_text(STYLES["flow"])
    with pytest.raises(ConfigError, match=r"'openai' is used by the alias 'fast' \(openai:gpt-5\)"):
        remove(path, "openai")
    path.write_text("version: 1\nproviders:\n  openai:\nrouters:\n  both: {models: [openai:a, openai:b]}\n")
    with pytest.raises(ConfigError, match=r"used by the router 'both' \(openai:a\), the router 'both' \(openai:b\)"):
        remove(path, "openai")
    path.write_text(STYLES["list in the middle"])
    with pytest.raises(ConfigError, match=r"used by the price of 'openai:\*'"):
        remove(path, "openai")
    with pytest.raises(ConfigError, match=r"There is no provider 'lab' in .*; there are: openai"):
        remove(path, "lab")


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("nobody", {}),
        ("Lab", LAB),
        ("lab", {**LAB, "base_url": "ftp://x"}),
        ("lab", {**LAB, "credential": "sk-secret"}),
        ("lab: {}, evil", LAB),
        ("lab", {**LAB, "base_url": "http://x}, evil: {kind: vllm"}),
    ],
)
def test_what_would_make_the_settings_wrong_changes_nothing(path: Path, name: str, fields: dict[str, str]) -> None:
    path.write_text(STYLES["block"])
    with pytest.raises(ConfigError, match="nothing was changed") as caught:
        add(path, name, fields)
    assert "sk-secret" not in str(caught.value)
    assert ".settings-" not in str(caught.value)
    assert path.read_text() == STYLES["block"]
    assert sorted(entry.name for entry in path.parent.iterdir()) == [".settings.yaml.lock", "settings.yaml"]


def test_settings_that_are_wrong_already_are_not_touched(path: Path) -> None:
    path.write_text("servr: 1\n")
    with pytest.raises(ConfigError, match="servr"):
        add(path, "lab", LAB)


def test_a_section_with_an_anchor_is_spliced_and_what_is_no_plain_file_is_for_the_operator(path: Path) -> None:
    text = "providers: &all {openai: {credential: env:OPENAI_API_KEY}}\n"
    path.write_text(text)
    add(path, "lab", LAB)
    assert "&all {lab:" in path.read_text()
    path.write_text("version: 1\n...\n")
    with pytest.raises(ConfigError, match="nothing was changed"):
        add(path, "lab", LAB)


def test_a_link_to_the_settings_stays_a_link(tmp_path: Path, path: Path) -> None:
    real = tmp_path / "dotfiles.yaml"
    real.write_text(STYLES["block"])
    path.symlink_to(real)
    add(path, "lab", LAB)
    assert path.is_symlink()
    assert "lab:" in real.read_text()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(["openai", "groq", "vllm", "lab-1", "lab-2"]), unique=True, max_size=4),
    st.lists(st.sampled_from(["", "  # a comment", "# at the edge", "      # far: {in}"]), max_size=3),
    st.booleans(),
    st.sampled_from(["\n", "\r\n"]),
)
def test_any_file_of_these_parts_survives_adding_and_removing(
    path: Path, names: list[str], comments: list[str], nested: bool, newline: str
) -> None:
    lines = ["version: 1", *comments, "providers:", *comments]
    for name in names:
        kind = "kind: vllm"
        lines += [f"  {name}:", f"    {kind}", *comments] if nested else [f"  {name}: {{{kind}}}", *comments]
    text = newline.join([*lines, "unpriced: allow", ""])
    path.write_bytes(text.encode())
    assert set(add(path, "added", LAB).providers) == {*names, "added"}
    remove(path, "added")
    assert path.read_bytes() == text.encode()

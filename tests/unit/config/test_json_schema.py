"""The schema for editors agrees with the reader: what it marks is wrong, and what is right it does not mark."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from farthing.config.first_start import SCHEMA_NAME, write_schema
from farthing.config.json_schema import settings_schema
from farthing.config.load import load_settings
from farthing.config.problems import Problems
from farthing.config.yaml_tree import Listing, Node, Scalar, read_yaml
from farthing.errors import ConfigError
from farthing.providers.registry import known_providers
from tests.unit.config.first_settings import uncommented

KNOWN = known_providers()
SCHEMA = settings_schema(KNOWN)
_TYPES: dict[str, Any] = {
    "object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool,
    "null": type(None),
}  # fmt: skip


def undescribed(schema: dict[str, Any], path: str) -> list[str]:
    found: list[str] = []
    for name, below in schema.get("properties", {}).items():
        if "$ref" not in below:
            found += [] if below.get("description") else [f"{path}.{name}"]
            found += undescribed(below, f"{path}.{name}")
    return found


def test_every_setting_is_explained_to_whoever_edits_it() -> None:
    parts = {
        "": SCHEMA,
        "provider": SCHEMA["definitions"]["provider"],
        "price": SCHEMA["properties"]["prices"]["items"],
    }
    assert [path for name, part in parts.items() for path in undescribed(part, name)] == []


def as_an_editor_reads(node: Node | None) -> Any:
    """YAML 1.2's core schema, which editors go by."""
    if node is None:
        return None
    if isinstance(node, Scalar):
        text = node.text
        if not node.plain:
            return text
        if node.empty:
            return None
        if text in ("true", "false"):
            return text == "true"
        if re.fullmatch(r"[-+]?[0-9]+", text):
            return int(text)
        return float(text) if re.fullmatch(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", text) else text
    if isinstance(node, Listing):
        return [as_an_editor_reads(item) for item in node.items]
    return {key: as_an_editor_reads(value) for key, (_, value) in node.entries.items()}


def mistakes(data: Any, schema: dict[str, Any], path: str = "") -> list[str]:  # noqa: PLR0912 - a case a keyword
    """As much of JSON Schema as ours uses; an unknown keyword fails, so that none is used and not looked at."""
    if "$ref" in schema:
        return mistakes(data, SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]], path)
    found: list[str] = []
    for keyword, wanted in schema.items():
        match keyword:
            case "$schema" | "title" | "description" | "default" | "definitions" | "properties":
                pass
            case "type":
                names = [wanted] if isinstance(wanted, str) else wanted
                if not any(_is(data, name) for name in names):
                    found.append(f"{path}: is no {names}")
            case "enum":
                found += [] if data in wanted else [f"{path}: {data!r} is none of {wanted}"]
            case "minimum":
                found += [f"{path}: too small"] if _is(data, "number") and data < wanted else []
            case "exclusiveMinimum":
                found += [f"{path}: too small"] if _is(data, "number") and data <= wanted else []
            case "maximum":
                found += [f"{path}: too large"] if _is(data, "number") and data > wanted else []
            case "pattern":
                found += [f"{path}: {data!r}"] if isinstance(data, str) and not re.search(wanted, data) else []
            case "required":
                found += [f"{path}: lacks {name}" for name in wanted if isinstance(data, dict) and name not in data]
            case "items":
                for index, item in enumerate(data if isinstance(data, list) else ()):
                    found += mistakes(item, wanted, f"{path}[{index}]")
            case "minItems":
                found += [f"{path}: too few"] if isinstance(data, list) and len(data) < wanted else []
            case "maxItems":
                found += [f"{path}: too many"] if isinstance(data, list) and len(data) > wanted else []
            case "uniqueItems":
                twice = isinstance(data, list) and any(one in data[:index] for index, one in enumerate(data))
                found += [f"{path}: twice"] if wanted and twice else []
            case "propertyNames":
                for name in data if isinstance(data, dict) else ():
                    found += mistakes(name, wanted, f"{path}.{name}")
            case "additionalProperties":
                named = schema.get("properties", {})
                for name, value in data.items() if isinstance(data, dict) else ():
                    if name in named or wanted is not False:
                        found += mistakes(value, named.get(name, wanted), f"{path}.{name}")
                    else:
                        found.append(f"{path}.{name}: unknown")
            case _:
                raise AssertionError(keyword)
    return found


def _is(data: Any, name: str) -> bool:
    return isinstance(data, _TYPES[name]) and not (isinstance(data, bool) and name in ("integer", "number"))


def marked(text: str) -> list[str]:
    problems = Problems("x")
    root = read_yaml(text, problems)
    problems.raise_if_any()
    return mistakes(as_an_editor_reads(root), SCHEMA)


def refused(text: str, tmp_path: Path) -> bool:
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    try:
        load_settings(path, known=KNOWN, environment={"OPENAI_API_KEY": "sk"})
    except ConfigError:
        return True
    return False


GOOD = [
    uncommented(),
    "{}\n",
    "version: 1\nproviders:\n",
    "providers:\n  openai:\n  lab: {kind: vllm, hold_s: 0, timeouts: {idle_s: 0.5}, max_connections: 1}\n",
    "server: {port: 0, host: '::1'}\nlog: {format: json}\nmodels:\n",
    "providers: {azure: {base_url: 'https://x.example/openai', api_version: 2024-10-21}}\n",
    "providers: {openrouter: {attribution: {title: 2024}}}\n",
    "models: {fast: 'openai:a'}\nrouters: {x.1: {models: ['openai:b', fast], strategy: cheapest}}\n",
    "providers: {openai: }\nprices: [{model: 'openai:*', input: '0.1', output: 2, request: 0.5}]\nprices_source: /x\n",
]


@pytest.mark.parametrize("text", GOOD)
def test_what_is_right_is_not_marked(text: str, tmp_path: Path) -> None:
    assert marked(text) == []
    assert not refused(text.replace("/etc/farthing/anthropic.key", str(tmp_path)), tmp_path)


BAD = [
    "servr: {}\n", "server: {prt: 1}\n", "server: {port: 70000}\n", "server: {port: x}\n", "server: 1\n",
    "server: {keep_alive_s: 0}\n", "server: {behind_proxy: yes}\n", "unpriced: maybe\n", "version: 0\n",
    "log: {level: loud}\n", "providers: {Lab: {kind: vllm}}\n", "providers: {openai: {credential: sk-live}}\n",
    "providers: {openai: {timeouts: {idle: 3}}}\n", "providers: {openai: {kind: opnai}}\n", "providers: []\n",
    "providers: {openai: {stream_usage: never}}\n", "providers: {openai: {hold_s: 601}}\n", "models: {fast: gpt-5}\n",
    "models: {'a b': 'openai:x'}\n", "prices: {x: 1}\n", "routers: {x: {models: []}}\n", "routers: {x: {}}\n",
    "routers: {x: {models: ['openai:a', 'openai:a']}}\n", "routers: {'a:b': {models: ['openai:a']}}\n",
    "routers: {x: {models: ['openai:a'], strategy: best}}\n", "routers: {x: ['openai:a']}\n",
    "prices: [{model: 'openai:*', input: 1}]\n", "prices: [{model: 'openai:*', input: -1, output: 1}]\n",
    "prices: [{model: 'openai:*', input: 1, output: 1, cahe_read: 1}]\n", "prices: [{model: x, input: 1, output: 1}]\n",
]  # fmt: skip


@pytest.mark.parametrize("text", BAD)
def test_what_is_marked_is_wrong(text: str, tmp_path: Path) -> None:
    assert marked(text)
    assert refused(text, tmp_path)


def test_every_setting_is_explained_where_the_code_explains_it() -> None:
    assert "0 lets the system choose" in SCHEMA["properties"]["server"]["properties"]["port"]["description"]
    assert SCHEMA["properties"]["server"]["properties"]["port"]["default"] == 3000
    provider = SCHEMA["definitions"]["provider"]
    assert {"name", "wire", "price_key"}.isdisjoint(provider["properties"])
    assert "idle_s" in provider["properties"]["timeouts"]["properties"]
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    assert len(json.dumps(SCHEMA)) < 40_000


def test_it_is_written_where_the_first_line_of_the_settings_names_it_and_only_when_it_is_another(
    tmp_path: Path,
) -> None:
    settings = tmp_path / "settings.yaml"
    assert uncommented().splitlines()[0] == f"# yaml-language-server: $schema={SCHEMA_NAME}"
    assert write_schema(settings, KNOWN)
    assert json.loads((tmp_path / SCHEMA_NAME).read_text()) == SCHEMA
    assert not write_schema(settings, KNOWN)
    (tmp_path / SCHEMA_NAME).write_text("{}")
    assert write_schema(settings, KNOWN)

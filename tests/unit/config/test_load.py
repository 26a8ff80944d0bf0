from collections.abc import Callable
from pathlib import Path

import pytest

from farthing.config.load import load_settings
from farthing.config.schema import CredentialSource, Settings, Timeouts, TranslationSettings
from farthing.errors import ConfigError
from farthing.types.models import ModelRef
from farthing.types.money import UnitPrice
from farthing.types.providers import KnownProvider

KNOWN = {
    known.kind: known
    for known in (
        KnownProvider(
            kind="openai",
            wire="openai_chat",
            base_url="https://api.openai.example/v1",
            credential_env="OPENAI_API_KEY",
            stream_usage="ask",
            price_key="openai",
        ),
        KnownProvider(
            kind="anthropic",
            wire="anthropic_messages",
            base_url="https://api.anthropic.example",
            credential_env="ANTHROPIC_API_KEY",
            price_key="anthropic",
        ),
        KnownProvider(
            kind="openai-compatible", wire="openai_chat", base_url=None, credential_env=None, stream_usage="ask"
        ),
    )
}
ENVIRONMENT = {"OPENAI_API_KEY": "one", "KEY": "two"}

Load = Callable[..., Settings]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(text: str, environment: dict[str, str] = ENVIRONMENT) -> Settings:
        file = tmp_path / "settings.yaml"
        file.write_text(text, "utf-8")
        return load_settings(file, known=KNOWN, environment=environment)

    return load


@pytest.fixture
def errors(load: Load, tmp_path: Path) -> Callable[[str], list[str]]:
    """Loads what cannot be loaded and returns its lines, without the file's name."""

    def errors(text: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load(text)
        assert caught.value.hint == '"farthing config check" reads the file again and starts nothing.'
        return [line.removeprefix(f"{tmp_path / 'settings.yaml'}:") for line in caught.value.message.split("\n")]

    return errors


Errors = Callable[[str], list[str]]

THE_DOCUMENTED_SHAPE = """\
version: 1
server: {host: 127.0.0.1, port: 3000}
providers:
  openai: {credential: env:OPENAI_API_KEY}                       # a known provider: the rest has defaults
  lab:    {kind: openai-compatible, base_url: http://127.0.0.1:8000/v1, credential: none, free: true}
  claude: {kind: anthropic, base_url: http://127.0.0.1:18999, credential: env:KEY}
models:                                                           # aliases
  fast: openai:gpt-5-mini
prices:                                                           # USD per million tokens; overrides the snapshot
  - {model: "lab:*", input: 0, output: 0}
  - {model: "claude:mock-claude", input: 300, output: 1500, cache_read: 30, cache_write_5m: 375, cache_write_1h: 600}
"""


def test_the_documented_shape_is_read(load: Load) -> None:
    settings = load(THE_DOCUMENTED_SHAPE)
    assert settings.warnings == ()
    assert (settings.server.host, settings.server.port, settings.server.max_body_mb) == ("127.0.0.1", 3000, 32)
    assert list(settings.providers) == ["openai", "lab", "claude"]
    openai, lab, claude = settings.providers.values()
    assert (openai.kind, openai.base_url, openai.stream_usage) == ("openai", "https://api.openai.example/v1", "ask")
    assert openai.credential == CredentialSource("env", "OPENAI_API_KEY")
    assert (lab.wire, lab.base_url, lab.free, lab.price_key) == ("openai_chat", "http://127.0.0.1:8000/v1", True, None)
    assert lab.credential == CredentialSource("none")
    assert (claude.wire, claude.price_key) == ("anthropic_messages", "anthropic")
    assert claude.credential == CredentialSource("env", "KEY")
    assert settings.models == {"fast": ModelRef("openai", "gpt-5-mini")}
    assert settings.unpriced == "allow"
    free, mock = settings.prices
    assert (free.pattern, free.input, free.output, free.cache_read) == ("lab:*", UnitPrice(0), UnitPrice(0), None)
    assert mock.cache_write_1h == UnitPrice(600_000_000_000_000, 1_000_000)
    assert mock.origin == "settings.yaml:11"


def test_no_file_means_the_known_providers_whose_key_is_in_the_environment(tmp_path: Path) -> None:
    settings = load_settings(tmp_path / "none.yaml", known=KNOWN, environment=ENVIRONMENT)
    assert list(settings.providers) == ["openai"]
    assert settings.providers["openai"].credential == CredentialSource("env", "OPENAI_API_KEY")


@pytest.mark.parametrize("text", ["", "# nothing\n", "version: 1\nproviders:\n", "providers: {}\n", "---\n...\n"])
def test_an_empty_file_or_section_means_the_same_as_no_file(load: Load, text: str) -> None:
    assert list(load(text).providers) == ["openai"]
    assert not load(text, {"OPENAI_API_KEY": " "}).providers


def test_a_file_that_says_nothing_at_all_is_warned_of(load: Load, tmp_path: Path) -> None:
    for text in ("", "# nothing\n", "---\n...\n"):
        assert "was it cut?" in " ".join(load(text).warnings)
    assert not load("version: 1\n").warnings
    assert not load_settings(tmp_path / "none.yaml", known=KNOWN, environment={}).warnings


def test_a_known_provider_may_be_named_with_nothing_else(load: Load) -> None:
    assert load("providers:\n  openai:\n").providers["openai"].credential == CredentialSource("env", "OPENAI_API_KEY")


def test_all_the_knobs_of_a_provider(load: Load, tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text("x")
    lab = load(f"""
providers:
  lab:
    kind: openai-compatible
    base_url: https://lab.example:8443/v1/
    credential: none
    ca_file: {ca_file}
    timeouts: {{connect_s: 0.5, idle_s: 7}}
    max_connections: 3
    stream_usage: always
    hold_s: 0
""").providers["lab"]
    assert lab.base_url == "https://lab.example:8443/v1"
    assert lab.timeouts == Timeouts(connect_s=0.5, idle_s=7.0)
    assert (lab.max_connections, lab.stream_usage, lab.hold_s, lab.ca_file) == (3, "always", 0.0, str(ca_file))


def test_prices_are_read_from_their_text_exactly(load: Load) -> None:
    (row,) = load(
        "providers: {openai: }\nprices:\n"
        "  - {model: openai:x, input: 0.1, output: 0.000000000001, cache_read: '0.075',\n"
        "     request: 0.005, web_search: 0.01}\n"
    ).prices
    assert row.input == UnitPrice(100_000_000_000)
    assert row.output == UnitPrice(1)
    assert row.cache_read == UnitPrice(75_000_000_000)
    assert row.request == UnitPrice(5_000_000_000, 1)
    assert row.web_search == UnitPrice(10_000_000_000, 1)


def test_a_price_that_cannot_be_exact_or_meant_is_refused(errors: Errors) -> None:
    assert errors("""\
providers: {openai: }
prices:
  - {model: openai:a, input: -1, output: 0.0000000000001}
  - {model: openai:b, input: 1e3, output: 1_000}
  - {model: openai:c, input: 2000000, output: .nan}
  - {model: openai:d, input: 1, output: 1, cahe_read: 3, request: x}
  - {input: 1}
  -
  - {model: gpt-5, input: 1, output: 1}
  - {model: "opnai:*", input: 1, output: 1}
  - {model: "openai:*", input: 1, output: 1}
  - {model: "openai:*", input: 2, output: 1}
""") == [
        "3: prices[0].input: '-1' is negative; a price is 0 or more.",
        "3: prices[0].output: '0.0000000000001' is finer than a picodollar; at most 12 decimals.",
        "4: prices[1].input: '1e3' is not a price; USD per million tokens in digits, such as 0.25.",
        "4: prices[1].output: '1_000' is not a price; USD per million tokens in digits, such as 0.25.",
        "5: prices[2].input: '2000000' is above 1000000; the unit is USD per million tokens.",
        "5: prices[2].output: '.nan' is not a price; USD per million tokens in digits, such as 0.25.",
        (
            "6: prices[3].cahe_read: is not a setting (did you mean 'cache_read'?); allowed: cache_read,"
            " cache_write_1h, cache_write_5m, input, input_audio, input_image, model, output, output_audio,"
            " output_image, reasoning, request, web_search."
        ),
        "6: prices[3].request: 'x' is not a price; USD each in digits, such as 0.25.",
        "7: prices[4]: a price needs model, input and output; missing: model, output.",
        "8: prices[5]: must be a mapping (model: ..., input: ..., output: ...), not nothing.",
        "9: prices[6].model: 'gpt-5' is not provider:model, such as 'lab:*' or 'openai:gpt-5*'.",
        "10: prices[7].model: 'opnai:*' names no provider (did you mean 'openai'?); configured: openai.",
        "12: prices[9]: a price for 'openai:*' stands at settings.yaml:11 already.",
    ]


def test_a_price_for_a_known_provider_that_is_not_switched_on_is_only_a_warning(load: Load, tmp_path: Path) -> None:
    text = "prices: [{model: 'anthropic:*', input: 1, output: 1}, {model: '*:free', input: 0, output: 0}]\n"
    assert load(text).warnings == (
        (
            f"{tmp_path / 'settings.yaml'}:1: prices[0].model: the provider 'anthropic' is not configured,"
            " so this price is never used."
        ),
    )


def test_yaml_1_1_surprises_do_not_happen(load: Load, errors: Errors) -> None:
    models = load("models: {no: openai:on, 2026-11-01: openai:022}").models
    assert models == {"no": ModelRef("openai", "on"), "2026-11-01": ModelRef("openai", "022")}
    assert errors("""\
server:
  port: 1_000
  max_headers: 0200
  drain_s: 22:30
  keep_alive_s: .inf
  behind_proxy: yes
""") == [
        "2: server.port: '1_000' is not allowed; write a whole number in digits, from 0 up to 65535.",
        "3: server.max_headers: '0200' is not allowed; write a whole number in digits, from 10 up to 10000.",
        "4: server.drain_s: '22:30' is not allowed; write a number in digits, above 0 up to 86400.",
        "5: server.keep_alive_s: '.inf' is not allowed; write a number in digits, above 0 up to 86400.",
        "6: server.behind_proxy: 'yes' is not allowed; write true or false.",
    ]


def test_every_mistake_is_told_at_once_with_its_line(errors: Errors) -> None:
    assert errors("""\
version: 1
server: {host: no way, port: 70000, publc_url: x}
providers:
  openai: {kind: opnai}
  lab: {kind: openai-compatible, max_connections: 0, stream_usage: akk, timeouts: {idle: 3}}
  labx: {ca_file: some.pem}
  Claude: {}
  openai: {}
models:
  fast: opnai:gpt-5
  quick: fast
  openai:gpt: openai:gpt-5
  naked: gpt-5
  far: anthropic:claude
  "a b": openai:x
  e:
unpriced: reject
nonsense: 1
""") == [
        "2: server.port: '70000' is not allowed; write a whole number in digits, from 0 up to 65535.",
        (
            "2: server.publc_url: is not a setting (did you mean 'public_url'?); allowed: behind_proxy, body_timeout_s,"
            " drain_s, header_timeout_s, host, keep_alive_s, max_body_mb, max_buffered_mb, max_connections,"
            " max_header_bytes, max_headers, port, public_url, write_timeout_s."
        ),
        "2: server.host: 'no way' is no address or host name.",
        (
            "4: providers.openai.kind: 'opnai' is not a kind of provider (did you mean 'openai'?);"
            " known: anthropic, openai, openai-compatible."
        ),
        "5: providers.lab.max_connections: '0' is not allowed; write a whole number in digits, from 1 up to 1000000.",
        "5: providers.lab.stream_usage: 'akk' is not allowed (did you mean 'ask'?); one of: ask, always.",
        (
            "5: providers.lab.timeouts.idle: is not a setting (did you mean 'idle_s'?);"
            " allowed: connect_s, first_byte_s, idle_s, total_s."
        ),
        "5: providers.lab: the kind 'openai-compatible' needs a base_url, such as http://127.0.0.1:8000/v1.",
        (
            "6: providers.labx: 'labx' is not a known provider; known: anthropic, openai, openai-compatible."
            " For a server of your own add kind: openai-compatible."
        ),
        "6: providers.labx.ca_file: 'some.pem' is not a whole path, such as /etc/ssl/lab.pem.",
        "7: providers.Claude: 'Claude' is not a name; small letters, digits, '.', '_' and '-'.",
        "8: providers.openai: is given twice; first in line 4.",
        (
            "10: models.fast: 'opnai:gpt-5' names no provider (did you mean 'openai'?);"
            " configured: Claude, lab, labx, openai."
        ),
        "11: models.quick: 'fast' is an alias itself; write the provider:model that it stands for.",
        "12: models.openai:gpt: would hide a model of the provider 'openai'; choose another name.",
        (
            "13: models.naked: 'gpt-5' is not provider:model, such as 'openai:gpt-5-mini';"
            " configured providers: Claude, lab, labx, openai."
        ),
        (
            "14: models.far: 'anthropic:claude' needs the provider 'anthropic', which is not configured;"
            " add it under providers."
        ),
        "15: models.a b: 'a b' is not a name; letters, digits and . _ : / @ + -, no spaces.",
        "16: models.e: is empty; give it a value or leave the key out.",
        "17: unpriced: 'reject' is not allowed; one of: allow, refuse.",
        (
            "18: nonsense: is not a setting; allowed: alerts, budgets, find_local, fixed_costs, limits, log,"
            " models, prices, prices_source, providers, retention, routers, server, storage, translation, unpriced,"
            " version."
        ),
    ]


KEPT_DAYS = "write days, from 7d to 36500d, or leave it out to keep calls for ever."


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- a\n", "1: the file must be a mapping that begins with version: 1."),
        ("server: 3\n", "1: server: must be a mapping (key: value), not a single value."),
        ("providers: [openai]\n", "1: providers: must be a mapping (key: value), not a list."),
        ("prices: {}\n", '1: prices: must be a list of rows ("- {model: ...}"), not a mapping.'),
        ("server: {port: [1]}\n", "1: server.port: must be a single value, not a list."),
        ("server: {port: }\n", "1: server.port: is empty; give it a value or leave the key out."),
        (
            "retention:\n  calls: 6d\n",
            "2: retention.calls: '6d' is not allowed; " + KEPT_DAYS,
        ),
        (
            "retention: {calls: 400}\n",
            "1: retention.calls: '400' is not allowed; " + KEPT_DAYS,
        ),
        ("version: one\n", "1: version: 'one' is not a version; write 1."),
    ],
)
def test_a_value_of_the_wrong_shape_is_told(errors: Errors, text: str, told: str) -> None:
    assert errors(text) == [told]


@pytest.mark.parametrize(
    "url",
    [
        "ftp://lab/v1",
        "lab:8000/v1",
        "http://",
        "http://lab:99999/v1",
        "http://lab:0/v1",
        "http://lab:/v1",
        "http://la b/v1",
        "http://lab/v1?key=1",
        "http://lab/v1#top",
        "http://lab/../v1",
        "http://[::1/v1",
        "http://-lab/v1",
        "http://läb/v1",
    ],
)
def test_a_base_url_that_cannot_be_called_is_refused(errors: Errors, url: str) -> None:
    (told,) = errors(f"providers:\n  lab: {{kind: openai-compatible, credential: none, base_url: '{url}'}}\n")
    assert told.startswith("2: providers.lab.base_url: ")
    assert repr(url) in told


def test_what_is_sent_unencrypted_or_to_an_address_of_ones_own_is_warned_of(load: Load, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    settings = load("""\
server: {host: 0.0.0.0}
providers:
  openai: {base_url: "http://[::1]:8000/v1"}
  lab: {kind: openai-compatible, credential: env:KEY, base_url: http://192.168.1.7/v1}
  claude: {kind: anthropic}
""")
    assert settings.warnings == (
        (
            f"{file}:1: server.host: 0.0.0.0 is reached from the network: a Farthing key is all that protects the"
            " gateway, and keys travel there unencrypted; put a proxy with TLS before it"
            " and set behind_proxy: true, or listen on 127.0.0.1."
        ),
        (
            f"{file}:3: providers.openai.credential: nothing is said, so the vault's key, else the one in"
            " OPENAI_API_KEY, is sent to the base_url given here;"
            " write credential: env:OPENAI_API_KEY if that is meant."
        ),
        (
            f"{file}:4: providers.lab.base_url: 'http://192.168.1.7/v1' is not encrypted:"
            " credential and text can be read on the way."
        ),
        (
            f"{file}:5: providers.claude.credential: the environment variable ANTHROPIC_API_KEY is not set;"
            " calls to this provider will be refused."
        ),
    )


SECRET = "sk-proj-AbCdEf0123456789"


@pytest.mark.parametrize(
    "provider",
    [
        f"{{credential: {SECRET}}}",
        f"{{credential: 'env:{SECRET}'}}",
        f"{{credential: 'file:{SECRET}'}}",
        f"{{api_key: {SECRET}}}",
        f"{{nonsense: {SECRET}}}",
        f"{{credential: [{SECRET}]}}",
        f"{{base_url: 'https://user:{SECRET}@lab/v1'}}",
        SECRET,
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(errors: Errors, provider: str) -> None:
    told = errors(f"providers:\n  openai: {provider}\n")
    assert len(told) == 1
    assert told[0].startswith("2: providers.openai")
    assert SECRET not in told[0]


def test_a_literal_credential_is_answered_with_the_way_out(errors: Errors) -> None:
    assert errors(f"providers:\n  openai:\n    credential: {SECRET}\n") == [
        (
            "3: providers.openai.credential: a credential is not written into this file (not shown here); put it into"
            " an environment variable and write env:NAME, into a file and write file:/path, or into the vault"
            ' ("farthing credentials add") and write vault; or write none.'
        ),
    ]


def test_anchors_are_shared_values(load: Load) -> None:
    providers = load("""
providers:
  a: {kind: openai-compatible, base_url: http://127.0.0.1:1, timeouts: &slow {idle_s: 900}}
  b: {kind: openai-compatible, base_url: http://127.0.0.1:2, timeouts: *slow}
""").providers
    assert providers["a"].timeouts == providers["b"].timeouts == Timeouts(idle_s=900.0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: &a [*a]\n", "1: the alias '*a' stands inside what it names."),
        ("a: *b\n", "1: the alias '*b' has no anchor '&b' before it."),
        (
            "a: &a [" + "x," * 99 + "]\nb: &b [" + "*a," * 99 + "]\nc: [" + "*b," * 99 + "]\n",
            "3: more than 50,000 values, counting what aliases repeat.",
        ),
        ("a: " + "[" * 2000 + "]" * 2000 + "\n", "1: nested deeper than 10 levels."),
        ("a: 1\n---\nb: 2\n", "2: a second document ('---') begins here; the file must be one document."),
        ("[a]: 1\n", "1: a key must be a single word."),
        ("server: {<<: 1}\n", "1: server: '<<' (merge) is not supported; repeat the keys, or anchor a whole value."),
        ("version: !!int 1\n", "1: version: the tag 'tag:yaml.org,2002:int' is not understood; leave it out."),
        (
            "server: {port: 1\n",
            "2: this is not YAML: while parsing a flow mapping expected ',' or '}', but got '<stream end>'.",
        ),
        (
            "a:\n\tb: 1\n",
            "2: this is not YAML: a tab stands where spaces must; indent with spaces.",
        ),
        ("a: 1\nb: \x07\n", "2: this is not YAML: special characters are not allowed (character 0x7)."),
    ],
)
def test_yaml_that_is_broken_or_unbounded_is_refused(errors: Errors, text: str, told: str) -> None:
    assert errors(text) == [told]


def test_a_file_that_is_no_settings_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_bytes(b"version: 1\n\xff\xfe\n")
    with pytest.raises(ConfigError, match=r":2: byte 0xff is not UTF-8; save the file as UTF-8\."):
        load_settings(file, known=KNOWN, environment={})
    file.write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(ConfigError, match="is larger than 1 MB"):
        load_settings(file, known=KNOWN, environment={})
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_settings(tmp_path, known=KNOWN, environment={})


def test_a_file_with_nothing_but_mistakes_shows_the_first_fifty(errors: Errors) -> None:
    told = errors("".join(f"x{n}: 1\n" for n in range(60)))
    assert len(told) == 51
    assert told[-1] == " and 10 more"


def test_losses_are_decided_by_kind_and_by_name(load: Load) -> None:
    settings = load("version: 1\ntranslation:\n  meaning: warn\n  rest: pass\n  logprobs: refuse\n")
    assert settings.translation == TranslationSettings(meaning="warn", rest="pass", features={"logprobs": "refuse"})


def test_a_loss_that_nobody_knows_is_told_with_what_was_meant(errors: Callable[[str], list[str]]) -> None:
    first, second = errors("version: 1\ntranslation:\n  logprob: warn\n  seed: never\n")
    assert first.startswith("3: translation.logprob: is not a setting (did you mean 'logprobs'?)")
    assert second.endswith("one of: refuse, warn, pass.")


def test_how_long_calls_are_kept_is_read_as_days(load: Load) -> None:
    assert load("").retention.calls_us is None
    assert load("retention: {calls: 400d}\n").retention.calls_us == 400 * 86_400_000_000

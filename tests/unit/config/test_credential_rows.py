"""Several credentials of a provider, as settings.yaml names them."""

from pathlib import Path

import msgspec
import pytest

from farthing.config.credential_rows import MAX_SHARES, nanousd
from farthing.config.load import load_settings
from farthing.config.schema import CredentialShare, CredentialSource, ProviderSettings, Settings
from farthing.errors import ConfigError
from farthing.providers.registry import known_providers
from farthing.types.credentials import Quotas

SECRET = "sk-canary-in-the-settings-Zq7"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "settings.yaml"


def openai(path: Path, said: str) -> ProviderSettings:
    path.write_text(f"providers:\n  openai: {{{said}}}\n")
    settings = load_settings(path, known=known_providers(), environment={"K": "sk", "OPENAI_API_KEY": "sk"})
    # As it is handed to workers.
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(settings), type=Settings) == settings
    return settings.providers["openai"]


def wrong(path: Path, said: str) -> str:
    with pytest.raises(ConfigError) as caught:
        openai(path, said)
    assert SECRET not in str(caught.value)
    return str(caught.value)


def test_a_list_names_sources_with_weights_and_quotas(path: Path) -> None:
    found = openai(
        path,
        "credentials: [vault, env:K, {source: vault:work, weight: 3, requests_per_minute: 60, usd_per_day: 2.50}]",
    )
    assert found.credentials == (
        CredentialShare(source=CredentialSource("vault")),
        CredentialShare(source=CredentialSource("env", "K")),
        CredentialShare(
            source=CredentialSource("vault", "work"),
            weight=3,
            quotas=Quotas(requests_per_minute=60, nanousd_per_day=2_500_000_000),
        ),
    )
    assert found.credential == CredentialSource("vault")
    assert not found.vault_first


def test_the_vault_is_a_source_like_others(path: Path) -> None:
    assert openai(path, "credential: vault").credential == CredentialSource("vault")
    assert openai(path, "credential: vault:work").credential == CredentialSource("vault", "work")
    assert [openai(path, said).vault_first for said in ("", "credential: env:K", "credential: vault")] == [
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("credential: env:K, credentials: [vault]", "stands beside credential"),
        ("credentials: vault", "must be a list of sources"),
        ("credentials: []", "has 0 entries"),
        (f"credentials: [{', '.join(f'env:K{n}' for n in range(MAX_SHARES + 1))}]", "write 1 to 32"),
        ("credentials: [env:K, env:K]", "credentials[1]: 'env:K' stands there already"),
        ("credentials: [{weight: 2}]", "credentials[0]: needs a source"),
        ("credentials: [{source: vault, weight: 0}]", "credentials[0].weight: '0' is not allowed"),
        ("credentials: [{source: vault, requests_per_minute: many}]", "requests_per_minute: 'many' is not allowed"),
        ("credentials: [{source: vault, usd_per_day: 0}]", "usd_per_day: '0' is no amount of dollars"),
        ("credentials: [{source: vault, usd_per_year: 1}]", "usd_per_year: is not a setting"),
        ("credentials: [none]", "is none"),
        ("credentials: [[vault]]", "must be a source or a mapping"),
        (f"credentials: [{SECRET}]", "a credential is not written into this file"),
        (f"credential: 'vault:{SECRET} '", "after vault: comes a name"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(path: Path, said: str, told: str) -> None:
    assert told in wrong(path, said)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1", 10**9),
        ("0.000000001", 1),
        ("2.50", 2_500_000_000),
        ("0", None),
        ("-1", None),
        ("1e3", None),
        ("1/2", None),
    ],
)
def test_dollars_become_nanodollars_exactly(text: str, amount: int | None) -> None:
    assert nanousd(text) == amount

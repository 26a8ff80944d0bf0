"""Which credential a call is made with: pure choices over what is known of each."""

from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.auth.vault import Held
from farthing.config.credentials import parse_credential
from farthing.config.schema import CredentialShare, CredentialSource, ProviderSettings
from farthing.errors import CredentialsRefused, CredentialsSpent
from farthing.gateway.accounts import MAX_MODELS, MAX_REST_S, MAX_TRIES, Account, Accounts, MayUse, Opened, opened
from farthing.providers.protocol import Credential
from farthing.providers.registry import create_provider
from farthing.storage.protocols import CredentialRecord
from farthing.types.calls import Attribution
from farthing.types.credentials import NO_QUOTAS, Quotas
from farthing.types.secret import Secret

NOW_US = 1_795_000_000_000_000
S = 1_000_000
NOBODY = Attribution(key_id="key_1")
SETTINGS = ProviderSettings(
    name="openai",
    kind="openai",
    wire="openai_chat",
    base_url="http://127.0.0.1:1/v1",
    credential=CredentialSource("env", "K"),
)


def account(name: str, weight: int = 1, *, missing: str | None = None, quotas: Quotas = NO_QUOTAS) -> Account:
    credential = Credential(secret=Secret(f"sk-{name}"), missing=missing)
    source = CredentialSource("env", name)
    return Account(Opened(name, source, credential, weight, quotas), create_provider(SETTINGS, credential))


def several(*accounts: Account, may_use: MayUse | None = None) -> Accounts:
    return Accounts(accounts, may_use)


def chosen(of: Accounts, who: Attribution = NOBODY, model: str = "m", now_us: int = NOW_US) -> str:
    return str(of.choose(model, who, now_us).opened.name)


def in_session(session: str, key_id: str = "key_1") -> Attribution:
    return Attribution(key_id=key_id, session=session)


def limited(account: Account, seconds: int, model: str = "m") -> None:
    account.rest(model, 429, "x", [(b"retry-after", b"%d" % seconds)], NOW_US)


@given(st.lists(st.integers(1, 9), min_size=2, max_size=5))
def test_turns_are_shared_exactly_by_weight(weights: list[int]) -> None:
    of = several(*(account(str(number), weight) for number, weight in enumerate(weights)))
    turns = Counter(chosen(of) for _ in range(sum(weights) * 2))
    assert turns == {str(number): weight * 2 for number, weight in enumerate(weights)}


def test_conversations_are_shared_by_weight_and_stay_in_every_process() -> None:
    sessions = [in_session(f"s{number}") for number in range(4_000)]
    first = [chosen(several(account("a"), account("b", 3)), who) for who in sessions]
    again = [chosen(several(account("b", 3), account("a")), who) for who in sessions]
    assert first == again
    assert 2_800 < first.count("b") < 3_200


def test_only_the_conversations_of_one_that_rests_move_and_they_come_back() -> None:
    of = several(account("a"), account("b"), account("c"))
    sessions = [in_session(f"s{number}") for number in range(300)]
    before = [chosen(of, who) for who in sessions]
    limited(of.all[0], 60)
    during = [chosen(of, who) for who in sessions]
    assert "a" not in during
    assert [one for one in zip(before, during, strict=True) if one[0] != "a" and one[0] != one[1]] == []
    assert {now for was, now in zip(before, during, strict=True) if was == "a"} == {"b", "c"}
    assert [chosen(of, who, now_us=NOW_US + 61 * S) for who in sessions] == before


def test_the_same_session_of_two_keys_is_two_conversations() -> None:
    of = several(account("a"), account("b"))
    assert len({(chosen(of, in_session("s", f"key_{n}"))) for n in range(20)}) == 2


def test_a_limit_is_about_its_model_and_a_refused_key_about_all() -> None:
    of = several(account("a"), account("b"))
    limited(of.all[0], 60)
    assert {chosen(of) for _ in range(4)} == {"b"}
    assert {chosen(of, model="other") for _ in range(4)} == {"a", "b"}
    of.refused(of.all[0], "m", 401, "invalid_api_key", [], NOW_US)
    assert {chosen(of, model="other") for _ in range(4)} == {"b"}


@pytest.mark.parametrize(
    ("status", "code", "headers", "rest_s"),
    [
        (401, "invalid_api_key", [], 60),
        (402, "no_credits", [], 60),
        (429, "rate_limited", [], 5),
        (429, "rate_limited", [(b"retry-after", b"30")], 30),
        (429, "rate_limited", [(b"retry-after", b"86400")], MAX_REST_S),
        (429, "insufficient_quota", [(b"retry-after", b"1")], MAX_REST_S),
        (403, "content_policy", [], 0),
        (500, "x", [(b"retry-after", b"30")], 0),
        (400, "x", [], 0),
    ],
)
def test_how_long_a_credential_rests(status: int, code: str, headers: list[tuple[bytes, bytes]], rest_s: int) -> None:
    of = several(account("a"), account("b"))
    of.refused(of.all[0], "m", status, code, headers, NOW_US)
    if rest_s:
        assert {chosen(of, now_us=NOW_US + rest_s * S - 1) for _ in range(4)} == {"b"}
    assert {chosen(of, now_us=NOW_US + rest_s * S) for _ in range(4)} == {"a", "b"}


def test_what_a_header_says_is_used_up_is_left_alone_until_it_is_renewed() -> None:
    of = several(account("a"), account("b"))
    told = [(b"x-ratelimit-remaining-tokens", b"0"), (b"x-ratelimit-reset-tokens", b"20s")]
    of.all[0].note("m", told, NOW_US)
    assert {chosen(of, now_us=NOW_US + 19 * S) for _ in range(4)} == {"b"}
    assert {chosen(of, now_us=NOW_US + 20 * S) for _ in range(4)} == {"a", "b"}
    of.all[0].note("m", [(b"x-ratelimit-remaining-tokens", b"0"), (b"x-ratelimit-reset-tokens", b"9h")], NOW_US)
    assert {chosen(of, now_us=NOW_US + MAX_REST_S * S) for _ in range(4)} == {"a", "b"}


def test_the_soonest_end_is_told_when_all_are_limited() -> None:
    of = several(account("a"), account("b"))
    limited(of.all[0], 90)
    limited(of.all[1], 30)
    with pytest.raises(CredentialsSpent) as caught:
        of.choose("m", NOBODY, NOW_US)
    assert caught.value.retry_after_s == 30
    of.refused(of.all[0], "m", 401, "", [], NOW_US)
    of.refused(of.all[1], "m", 402, "", [], NOW_US)
    with pytest.raises(CredentialsRefused):
        of.choose("other", NOBODY, NOW_US)


def test_one_that_is_missing_is_never_chosen_unless_there_is_no_other() -> None:
    assert {chosen(several(account("a", missing="gone"), account("b"))) for _ in range(4)} == {"b"}
    assert chosen(several(account("a", missing="gone"), account("b", missing="gone"))) == "a"


def test_the_only_one_is_there_without_a_choice() -> None:
    alone = account("a")
    assert several(alone).only is alone
    assert several(alone, account("b")).only is None


def test_quotas_of_ours_are_asked_for_where_there_are_some() -> None:
    asked: list[str | None] = []

    def may_use(one: Account, now_us: int) -> int | None:
        asked.append(one.opened.name)
        return now_us + 7 * S

    bounded = account("a", quotas=Quotas(requests_per_minute=1))
    assert several(account("b"), may_use=may_use).only is not None
    alone = several(bounded, may_use=may_use)
    assert alone.only is None
    with pytest.raises(CredentialsSpent) as caught:
        alone.choose("m", NOBODY, NOW_US)
    assert caught.value.retry_after_s == 7
    assert {chosen(several(bounded, account("b"), may_use=may_use)) for _ in range(3)} == {"b"}
    assert set(asked) == {"a"}


def test_a_call_is_tried_with_so_many_credentials_and_with_none_twice() -> None:
    of = several(*(account(str(number)) for number in range(6)))
    tried = [of.choose("m", NOBODY, NOW_US)]
    while (other := of.another("m", NOBODY, NOW_US, tried)) is not None:
        assert other not in tried
        tried.append(other)
    assert len(tried) == MAX_TRIES


def test_what_is_remembered_of_models_is_bounded() -> None:
    one = account("a")
    for number in range(3 * MAX_MODELS):
        one.note(f"m{number}", [], NOW_US)
        one.rest(f"m{number}", 429, "", [], NOW_US)
        one.limits(f"m{number}")
    assert len(one.heard) == MAX_MODELS
    assert len(one.rests) == MAX_MODELS
    one.rest("new", 429, "", [], NOW_US + MAX_REST_S * S)
    assert list(one.rests) == ["new"]


# ---- from settings and vault


def held(name: str, provider: str = "openai", **fields: object) -> Held:
    record = CredentialRecord(
        id=f"cred_{name}",
        provider=provider,
        name=name,
        weight=4,
        enabled=True,
        created_at_us=1,
        ciphertext=b"",
        nonce=b"",
        key_id="k",
        quotas=Quotas(tokens_per_day=9),
    )
    return Held(msgspec.structs.replace(record, **fields), Secret(f"sk-{name}"))


def told(settings: ProviderSettings, *vault: Held) -> list[tuple[str | None, int, str | None]]:
    found = opened(settings, vault, {"K": "sk-env", "K2": "sk-env-2"})
    return [
        (one.name, one.weight, None if one.credential.secret is None else one.credential.secret.reveal())
        for one in found
    ]


def with_source(text: str, **fields: object) -> ProviderSettings:
    return msgspec.structs.replace(SETTINGS, credential=parse_credential(text), **fields)


def test_where_nothing_is_said_the_vault_comes_before_the_environment() -> None:
    silent = with_source("env:K", vault_first=True)
    assert told(silent) == [("env:K", 1, "sk-env")]
    assert told(silent, held("a"), held("b", "groq")) == [("vault:a", 4, "sk-a")]
    assert told(with_source("env:K"), held("a")) == [("env:K", 1, "sk-env")]


def test_the_vault_gives_all_of_a_provider_or_the_one_that_is_named() -> None:
    assert told(with_source("vault"), held("a"), held("b"), held("c", "groq")) == [
        ("vault:a", 4, "sk-a"),
        ("vault:b", 4, "sk-b"),
    ]
    assert told(with_source("vault:b"), held("a"), held("b")) == [("vault:b", 4, "sk-b")]
    (missing,) = opened(with_source("vault:c"), [held("c", "groq")], {})
    assert missing.credential.missing == "the vault has no credential 'c' for 'openai' that is enabled"


def test_a_list_says_weights_and_quotas_and_names_each_once() -> None:
    shares = (
        CredentialShare(source=CredentialSource("vault", "b"), weight=2, quotas=Quotas(requests_per_day=1)),
        CredentialShare(source=CredentialSource("vault")),
        CredentialShare(source=CredentialSource("env", "K2"), weight=7),
        CredentialShare(source=CredentialSource("env", "NOT_SET")),
    )
    settings = msgspec.structs.replace(SETTINGS, credentials=shares)
    found = opened(settings, [held("a"), held("b")], {"K2": "sk-env-2"})
    assert [(one.name, one.weight, one.quotas) for one in found] == [
        ("vault:b", 2, Quotas(requests_per_day=1)),
        ("vault:a", 4, Quotas(tokens_per_day=9)),
        ("env:K2", 7, NO_QUOTAS),
        ("env:NOT_SET", 1, NO_QUOTAS),
    ]
    assert [one.credential.missing is None for one in found] == [True, True, True, False]


def test_what_cannot_be_opened_is_missing_and_says_why() -> None:
    locked = Held(held("a").record, problem="the vault is locked")
    (found,) = opened(with_source("vault"), [locked], {})
    assert found.credential.missing == "the vault is locked"

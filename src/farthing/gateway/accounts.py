"""The credentials of one provider, and which of them a call is made with.

A provider keeps its prompt cache for each account, so a conversation stays with the credential it began with: all of
them are ranked by a hash of the conversation and of their own names (rendezvous hashing, with weights), and the first
that is free is taken. So every worker, and the next process, chooses alike without asking anybody, and when one drops
out only its own conversations move, and come back when it is free. Calls that belong to no conversation take turns.

A credential rests when its provider says so. A 401 or 402 is about the account: it rests for every model. A 429 is
about one model, because limits are: it rests for that one, as long as the provider's headers ask. A 403 may be the
request's own fault, so it proves nothing until another credential was let in with the same request. Every rest ends
within minutes, and then one call finds out. The only credential of a provider never rests: there is no better one, and
the provider's own words tell the client more than ours could.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from hashlib import blake2b

import msgspec

from farthing.auth.vault import Held
from farthing.config.credentials import read_credential
from farthing.config.schema import CredentialShare, CredentialSource, ProviderSettings
from farthing.errors import CredentialMissing, CredentialsRefused, CredentialsSpent
from farthing.gateway.headers import Headers
from farthing.providers.protocol import Credential, Provider
from farthing.providers.rate_limits import learned, retry_after_s
from farthing.types.calls import Attribution
from farthing.types.credentials import NO_QUOTAS, Learned, Quotas

MAX_TRIES = 3
"""Credentials that one call may be tried with; whoever is refused by three is refused for a reason."""
MOVES_ON = frozenset({401, 402, 403, 429})
"""Answers after which another credential is tried: the provider did not serve, and said who is to blame."""
MAX_REST_S = 600
"""A mistaken rest costs no more than that, and a limit that lasts longer one refused try every ten minutes."""
_REFUSED_REST_S = 60
"""After a 401, 402 or 403 without a word on how long: a key that is mended is in use a minute later."""
_LIMITED_REST_S = 5
"""After a 429 without one: limits are counted by the minute, and some of that has passed."""
_SPENT_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
"""429s that are about the account and its money, whatever the model."""
MAX_MODELS = 64
"""Models of which an account's limits are remembered; beyond them the oldest is forgotten."""
_EVERY_MODEL = ""


class Opened(msgspec.Struct, frozen=True):
    """A credential of a provider as it is now, by its name in the books; `None` for a provider that needs none."""

    name: str | None
    source: CredentialSource
    credential: Credential
    weight: int = 1
    quotas: Quotas = NO_QUOTAS


class Rest(msgspec.Struct, frozen=True):
    """Why a credential is not used, and until when; `status` is what the provider answered, at `at_us`.

    `overheard`: another worker was told so.
    """

    until_us: int
    status: int
    at_us: int = 0
    overheard: bool = False


class Account:
    """One credential in use: the provider as it is called with it, and what has been heard of it."""

    __slots__ = ("_limits", "has_quotas", "heard", "opened", "provider", "rests", "since_us", "turns")

    def __init__(self, opened: Opened, provider: Provider, since_us: int = 0) -> None:
        """`since_us` is since when it has been what it is: what was said before was of another secret."""
        self.opened = opened
        self.has_quotas = opened.quotas != NO_QUOTAS
        self.provider = provider
        self.since_us = since_us
        self.heard: dict[str, tuple[Headers, int]] = {}
        """By model, the headers of the last answer and when its attempt began; read only when somebody asks."""
        self.rests: dict[str, Rest] = {}
        self._limits: dict[str, tuple[tuple[Headers, int], tuple[Learned, ...]]] = {}
        self.turns = 0

    def inherit(self, before: "Account") -> None:
        """Know what was known of the same credential before the settings or the vault were read again."""
        self.heard, self.rests, self.turns = before.heard, before.rests, before.turns
        self.since_us = before.since_us

    def note(self, model: str, headers: Headers, at_us: int) -> None:
        """Remember what an answer said of the account; a hundred nanoseconds of every call."""
        if model not in self.heard and len(self.heard) >= MAX_MODELS:
            del self.heard[next(iter(self.heard))]
        self.heard[model] = (headers, at_us)

    def limits(self, model: str) -> tuple[Learned, ...]:
        """Return what the provider said last of the limits for this model."""
        found = self.heard.get(model)
        if found is None:
            return ()
        read = self._limits.get(model)
        if read is None or read[0] is not found:
            if len(self._limits) >= MAX_MODELS:
                self._limits.clear()
            read = self._limits[model] = (found, learned(*found))
        return read[1]

    def rest(self, model: str, status: int, code: str, headers: Headers, now_us: int) -> None:
        """Let it rest after a refusal."""
        wait_s = retry_after_s(headers, now_us)
        about = model if status in (403, 429) else _EVERY_MODEL
        if status == 429 and code in _SPENT_CODES:
            about, wait_s = _EVERY_MODEL, None
            rest_s = float(MAX_REST_S)
        else:
            rest_s = float(wait_s) if wait_s else _LIMITED_REST_S if status == 429 else _REFUSED_REST_S
        self._keep(about, Rest(now_us + int(min(rest_s, MAX_REST_S) * 1_000_000), status, now_us), now_us)

    def overhear(self, model: str, rest: Rest, now_us: int) -> None:
        """Let it rest because another worker was told to, unless something newer is known here."""
        heard, known = self.heard.get(model), self.rests.get(model)
        newest_us = max(self.since_us, 0 if heard is None else heard[1], 0 if known is None else known.at_us + 1)
        if rest.at_us >= newest_us and rest.until_us > now_us:
            self._keep(model, rest, now_us)

    def _keep(self, about: str, rest: Rest, now_us: int) -> None:
        if len(self.rests) >= MAX_MODELS:
            self.rests = {name: one for name, one in self.rests.items() if one.until_us > now_us}
        if len(self.rests) < MAX_MODELS:
            self.rests[about] = rest

    def resting(self, model: str, now_us: int) -> Rest | None:
        """Return why it is not used for a model now: a refusal, or a limit that the provider said is used up."""
        for about in (_EVERY_MODEL, model):
            rest = self.rests.get(about)
            if rest is not None and rest.until_us > now_us:
                return rest
        found = self.heard.get(model)
        # Reading the headers takes 6 us, and hardly ever is anything used up.
        if found is None or not any(value == b"0" and b"remaining" in name for name, value in found[0]):
            return None
        for limit in self.limits(model):
            if limit.remaining == 0 and limit.resets_at_us is not None and limit.resets_at_us > now_us:
                at_most_us = found[1] + MAX_REST_S * 1_000_000
                if at_most_us > now_us:
                    return Rest(min(limit.resets_at_us, at_most_us), 429)
        return None

    def take_turn(self, of: Sequence["Account"]) -> None:
        """Count that its turn has come among these (smooth weighted round robin)."""
        self.turns -= sum(one.opened.weight for one in of)

    def gain(self) -> int:
        """Come closer to its turn; return how close."""
        self.turns += self.opened.weight
        return self.turns


MayUse = Callable[[Account, int], int | None]
"""Asked before a credential with quotas of its own is taken, with the time now (us): when it may be used again (us), or
`None` for now."""


class Accounts:
    """All credentials of one provider."""

    __slots__ = ("_may_use", "all", "only")

    def __init__(self, accounts: Sequence[Account], may_use: MayUse | None = None) -> None:
        assert accounts, "a provider has at least one credential, if only a missing one"
        self.all = tuple(accounts)
        self._may_use = may_use
        alone = self.all[0] if len(self.all) == 1 else None
        self.only = alone if alone is not None and (may_use is None or not alone.has_quotas) else None
        """The one that there is, where there is nothing to choose."""

    @property
    def any_there(self) -> bool:
        """Whether the provider can be called at all: one of its credentials is there, or it needs none."""
        return any(one.opened.credential.missing is None for one in self.all)

    def choose(self, model: str, who: Attribution, now_us: int, without: Collection[Account] = ()) -> Account:
        """Return the credential for a call.

        Raises:
            CredentialsSpent: the provider limits all of them, or quotas of ours do; with the time of the first end.
            CredentialsRefused: it refuses all of them.
        """
        there = [one for one in self.all if one.opened.credential.missing is None and one not in without]
        if not there:
            return self.all[0]  # whose request head says what is missing
        resting = {one: rest for one in there if (rest := self._hindered(one, model, now_us)) is not None}
        free = [one for one in there if one not in resting]
        if not free:
            raise _none_free(self.all[0].provider.name, resting, now_us)
        if len(free) == 1:
            return free[0]
        conversation = who.conversation or who.session
        if conversation is not None:
            return min(free, key=lambda one: _rank(f"{who.key_id}\0{conversation}", one))
        chosen = max(free, key=Account.gain)
        chosen.take_turn(free)
        return chosen

    def another(self, model: str, who: Attribution, now_us: int, without: Collection[Account]) -> Account | None:
        """Return a credential to try after those, `None` where there is none."""
        return None if len(without) >= MAX_TRIES else self.instead(model, who, now_us, without)

    def instead(self, model: str, who: Attribution, now_us: int, without: Collection[Account]) -> Account | None:
        """Return one that is free beside those, `None` where there is none."""
        if not any(one.opened.credential.missing is None and one not in without for one in self.all):
            return None
        try:
            return self.choose(model, who, now_us, without)
        except (CredentialsSpent, CredentialsRefused):
            return None

    def none_free(
        self, model: str, now_us: int, full: Mapping[Account, Rest | None]
    ) -> CredentialsSpent | CredentialsRefused | None:
        """Return what a client is told where these have no room for its call until then, and no other one is free.

        `None` where none will ever have room.
        """
        there = (one for one in self.all if one.opened.credential.missing is None)
        rests = {one: full[one] if one in full else self._hindered(one, model, now_us) for one in there}
        resting = {one: rest for one, rest in rests.items() if rest is not None}
        return _none_free(self.all[0].provider.name, resting, now_us) if resting else None

    def refused(self, account: Account, model: str, status: int, code: str, headers: Headers, now_us: int) -> None:
        """Let a credential rest after a refusal, where there are others and it is the credential's fault."""
        if len(self.all) > 1 and status in MOVES_ON and status != 403:
            account.rest(model, status, code, headers, now_us)

    def proven(self, account: Account, model: str, now_us: int) -> None:
        """Let one rest that was answered 403, now that another was let in with the same request."""
        account.rest(model, 403, "", (), now_us)

    def _hindered(self, account: Account, model: str, now_us: int) -> Rest | None:
        if len(self.all) > 1 and (rest := account.resting(model, now_us)) is not None:
            return rest
        if self._may_use is not None and account.has_quotas:
            until_us = self._may_use(account, now_us)
            if until_us is not None:
                return Rest(until_us, 429)
        return None


def opened(provider: ProviderSettings, held: Sequence[Held], environment: Mapping[str, str]) -> list[Opened]:
    """Return the credentials of a provider, at least one; `held` is what the vault has, for whichever provider."""
    ours = [one for one in held if one.record.provider == provider.name]
    if provider.vault_first and ours:
        return [_of_vault(one, None) for one in ours]
    shares = provider.credentials or (CredentialShare(source=provider.credential),)
    found: dict[str | None, Opened] = {}
    for share in shares:
        for one in _of_share(share, provider.name, ours, environment):
            found.setdefault(one.name, one)  # a name counts where it stands first
    return list(found.values())


def _of_share(
    share: CredentialShare, provider: str, ours: Sequence[Held], environment: Mapping[str, str]
) -> list[Opened]:
    source = share.source
    if source.kind == "vault":
        named = [one for one in ours if source.name in ("", one.record.name)]
        if named:
            return [_of_vault(one, share) for one in named]
        which = f"no credential {source.name!r} for" if source.name else "no credential for"
        return [Opened(str(source), source, Credential(missing=f"the vault has {which} {provider!r} that is enabled"))]
    try:
        credential = Credential(secret=read_credential(source, environment))
    except CredentialMissing as error:
        credential = Credential(missing=error.message)
    name = None if source.kind == "none" else str(source)
    return [Opened(name, source, credential, share.weight or 1, share.quotas)]


def _of_vault(one: Held, share: CredentialShare | None) -> Opened:
    record = one.record
    weight, quotas = record.weight, record.quotas
    if share is not None:
        weight = share.weight or weight
        quotas = quotas if share.quotas == NO_QUOTAS else share.quotas
    source = CredentialSource("vault", record.name)
    credential = Credential(secret=one.secret, missing=one.problem)
    return Opened(str(source), source, credential, weight, quotas)


def _rank(conversation: str, account: Account) -> float:
    told = f"{conversation}\0{account.opened.name}".encode("utf-8", "surrogatepass")
    drawn = int.from_bytes(blake2b(told, digest_size=6).digest())  # 48 bits: a float holds them exactly
    return -math.log((drawn + 1) / (1 << 48)) / account.opened.weight


def _none_free(provider: str, resting: Mapping[Account, Rest], now_us: int) -> CredentialsSpent | CredentialsRefused:
    first_us = min(rest.until_us for rest in resting.values())
    wait_s = max(1, math.ceil((first_us - now_us) / 1_000_000))
    # Their names are the operator's affair, and this is told to clients.
    told = "the only credential" if len(resting) == 1 else f"each of the {len(resting)} credentials"
    if any(rest.status == 429 for rest in resting.values()):
        return CredentialsSpent(
            f"{told} that could be used for provider '{provider}' has reached a limit",
            hint=f"try again in {wait_s} s; the operator can add another one",
            retry_after_s=wait_s,
        )
    return CredentialsRefused(
        f"{told} that could be used for provider '{provider}' is refused by it",
        hint='the operator mends that ("farthing credentials test"); they are tried again by themselves',
        retry_after_s=wait_s,
    )

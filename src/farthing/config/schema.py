"""What settings.yaml may say, with its defaults and bounds; `load.py` reads the file into these.

The annotations are the rule: a field's type and `Meta` bounds decide what is accepted, and what an error says is
allowed. Each bound has a line on how its default was chosen. Seconds, bytes and megabytes close the names.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from farthing.types.alerts import FACT_KINDS, FactKind
from farthing.types.budgets import BudgetAction, BudgetHolds, BudgetPolicy, Period
from farthing.types.credentials import NO_QUOTAS, Quotas
from farthing.types.fixed_costs import FixedCost
from farthing.types.limits import Rate
from farthing.types.models import ModelRef
from farthing.types.prices import PriceOverride
from farthing.types.providers import WireFormat
from farthing.types.settings import Said

Port = Annotated[int, Meta(ge=0, le=65_535)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where we listen and what we take from a client before we refuse."""

    host: str = "127.0.0.1"
    """The address, or the name of one, at which calls are taken; `0.0.0.0` and `::` are all of this machine's."""
    port: Port = 3000
    """0 lets the system choose a free one."""
    public_url: str | None = None
    """How clients reach us when not by host and port; shown in snippets and links."""
    behind_proxy: bool = False
    """A proxy with TLS stands before us, so listening beyond loopback is meant."""
    max_header_bytes: Annotated[int, Meta(ge=1024, le=1 << 20)] = 65_536
    """The largest header block of a real client was 4 KB; proxies cut at 8 to 32 KB."""
    max_headers: Annotated[int, Meta(ge=10, le=10_000)] = 200
    """Real clients send about 25."""
    header_timeout_s: Seconds = 10.0
    """A header block fits in a few packets; who needs longer is holding the connection."""
    body_timeout_s: Seconds = 60.0
    """32 MB in a minute is 4 Mbit/s, a slow uplink."""
    write_timeout_s: Seconds = 120.0
    """A client that takes no byte for two minutes is gone; agents pause only between calls."""
    max_body_mb: Annotated[int, Meta(ge=1, le=1024)] = 32
    """Anthropic refuses above 32 MB, and is the most generous of the known providers."""
    max_buffered_mb: Annotated[int, Meta(ge=1, le=65_536)] = 256
    """Eight of the largest bodies, or two thousand agent prompts of 112 KB, at once."""
    keep_alive_s: Seconds = 75.0
    """What nginx does; longer than any client's own pool keeps an idle connection."""
    drain_s: Seconds = 30.0
    """Ends most answers in flight and stays within what service managers wait (systemd: 90 s)."""
    max_connections: Count = 4096
    """Sixteen times the streams of our largest test; about 100 MB when all are busy."""


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is written to standard error while the gateway serves, and how."""

    format: Literal["text", "json"] = "text"
    """Lines for people, or one JSON object a line for programs."""
    level: Literal["debug", "info", "warning", "error"] = "warning"
    """What is less grave is not written; `farthing logs level` changes it for a while."""
    access: bool = False
    """Whether there is a line for each try upstream: model, tokens, cost, durations; never a text."""


class StorageSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where ledger, keys and budgets are kept. It counts when Farthing starts."""

    url: str | None = None
    """A PostgreSQL that several hosts share; without one it is a file in the home."""
    redis: str | None = None
    """A Redis or Valkey in which hosts share windows of limits, live calls and what providers seal; its address, or
    `env:NAME`."""


LEAST_KEPT_DAYS, MOST_KEPT_DAYS = 7, 36_500
"""A gateway that was down over a long weekend must still find its last calls; and a hundred years are for ever."""


class RetentionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long single lines of the ledger are kept. What they add up to stays for ever."""

    calls: str | None = None
    """Calls that began longer ago expire, such as `400d`; at least `7d`. Left out, they are kept for ever."""

    @property
    def calls_us(self) -> int | None:
        """The same in microseconds."""
        return None if self.calls is None else int(self.calls.removesuffix("d")) * 86_400_000_000


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """How long a provider may take, seconds."""

    connect_s: Seconds = 10.0
    """Name, TCP and TLS together take under a second anywhere; ten allow two lost packets at each step."""
    first_byte_s: Seconds = 600.0
    """Reasoning models without streaming think for minutes; the official clients wait 600 s as well."""
    idle_s: Seconds = 300.0
    """The longest silence inside a stream; providers send pings far more often, local models load for minutes."""
    total_s: Seconds = 3600.0
    """No single answer takes an hour."""


class CredentialSource(msgspec.Struct, frozen=True):
    """Where a provider's credential is: `env:NAME`, `file:/path`, `vault`, `vault:NAME`, or `none`. Never the secret.

    `vault` without a name is every credential that the vault has for the provider.
    """

    kind: Literal["env", "file", "vault", "none"]
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else self.kind


class CredentialShare(msgspec.Struct, frozen=True, kw_only=True):
    """One of several credentials of a provider."""

    source: CredentialSource
    """Where it is, as in `credential`."""
    weight: Annotated[int, Meta(ge=1, le=1_000)] | None = None
    """How much of the work it takes beside the others; 1, or what the vault says of it."""
    quotas: Quotas = NO_QUOTAS


LossAction = Literal["refuse", "warn", "pass"]


class TranslationSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What happens where a client's format says what the provider's cannot."""

    meaning: LossAction = "refuse"
    """What would change the meaning of the request: refused (400), told in header and books, or passed over."""
    rest: LossAction = "warn"
    """What would not: advice, comfort, sampling. The table of losses says which is which."""
    features: Mapping[str, LossAction] = msgspec.field(default_factory=dict)
    """Single features, in the file by their names beside the two above: `logprobs: warn`."""


class BudgetSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A budget under its name: how much may be spent, in which time, by whom.

    Of `organisation` to `tag` those that are given say whose calls it is about, and `*` that each has the whole amount;
    without any it is about all calls. `origin` says where it stands (`settings.yaml:14`), for messages.
    """

    name: str
    usd: int
    """The limit in US dollars, with at most nine decimals; 0 lets only free models pass."""
    period: Period
    """When it begins anew; `total` never, and with `session` every session has the whole amount once."""
    policy: BudgetPolicy = "hard"
    """Whether nothing may be sent that could pass the limit, or it is only told of."""
    organisation: str | None = None
    """The organisation whose calls it is about."""
    team: str | None = None
    """The team."""
    project: str | None = None
    """The project."""
    key: str | None = None
    """The key, by its name."""
    user: str | None = None
    """The user."""
    session: str | None = None
    """The session."""
    task: str | None = None
    """The task."""
    tag: str | None = None
    """A tag of theirs."""
    time_zone: str = "UTC"
    """Whose midnight counts, as an IANA name."""
    reset_day: Annotated[int, Meta(ge=1, le=31)] = 1
    """On which day a week (1 is Monday) or a month begins anew; in a shorter month on its last day."""
    at: Mapping[int, BudgetAction] = msgspec.field(default_factory=lambda: {25: "prefer_cheaper", 5: "emergency"})
    """What happens when less than so many percent are left."""
    grace_usd: int = 0
    """What may be spent beyond the limit to finish a turn that was begun."""
    wait_s: Annotated[int, Meta(ge=0, le=600)] = 10
    """How long a call may wait for what calls under way will give back."""
    holds: BudgetHolds = "estimate"
    """What is held for what a call reads, near the limit: what the same text was reported to have and every byte that
    is new, or every byte."""
    origin: str = ""


class AlertChannelSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A place that alerts are sent to, under its name.

    An address is a secret wherever knowing it is enough to write there, so it is never in the file.
    """

    name: str
    kind: Literal["webhook", "slack", "email", "apprise"]
    """`webhook` posts JSON, `slack` to an incoming webhook, `email` through a mail server; `apprise` knows the rest."""
    facts: tuple[FactKind, ...] = FACT_KINDS
    """Which alerts go there."""
    url: CredentialSource | None = None
    """Where its address is read from; for all kinds but `email`."""
    secret: CredentialSource = CredentialSource("none")
    """The kind `webhook` only: where the key is read from that each message is signed with."""
    ca_file: str | None = None
    """Certificates to trust in place of the system's, for a server of one's own."""
    host: str | None = None
    """The kind `email` only: the mail server."""
    port: Port = 587
    """The kind `email` only: its port."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """The kind `email` only: how the connection is kept from others; `none` only to a server on this machine."""
    user: str | None = None
    """The kind `email` only: the account at the server, where it wants one."""
    password: CredentialSource = CredentialSource("none")
    """The kind `email` only: where that account's password is read from."""
    sender: str | None = None
    """The kind `email` only: from whom."""
    to: tuple[str, ...] = ()
    """The kind `email` only: to whom."""


class ReportSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A report that is sent when its period is over, under its name."""

    name: str
    period: Literal["day", "week", "month"]
    """What it is about: the day, the week (from Monday) or the month that is over."""
    channels: tuple[str, ...] = ()
    """The channels it is sent to, by their names."""
    at: str = "08:00"
    """The hour on the first day after, when it is sent."""
    time_zone: str = "UTC"
    """Whose hour and whose days, as an IANA name."""
    team: str | None = None
    """Only what this team did."""
    project: str | None = None
    """Only what was done in this project."""
    local_target: Annotated[int, Meta(ge=1, le=100)] | None = None
    """Advise where fewer percent of tokens were free."""


class AlertSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of, and where."""

    channels: tuple[AlertChannelSettings, ...] = ()
    """The places, each under a name of your choice."""
    quiet_s: Annotated[float, Meta(ge=0, le=604_800)] = 3600.0
    """So long the same thing is not told again once it was over; thresholds of budgets are always told."""
    reports: tuple[ReportSettings, ...] = ()
    """What is sent every day, week or month, each under a name of your choice."""


class OpenRouterAttribution(msgspec.Struct, frozen=True, kw_only=True):
    """Whose traffic OpenRouter's rankings count ours as; nothing is sent of what is not set."""

    title: str | None = None
    """The name of the application, sent as `X-Title`."""
    url: str | None = None
    """Its address, sent as `HTTP-Referer`."""


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One provider under the name that model names and the ledger use for it.

    `wire` and `price_key` come with the kind (`KnownProvider`), everything else may be set. `base_url` has no slash at
    its end.
    """

    name: str
    kind: str
    """What it is and speaks; left out, it is the name."""
    wire: WireFormat
    base_url: str
    """Where its API begins; known for most kinds, see there."""
    credential: CredentialSource
    """Where its key is, never the key itself; left out, the vault, or else the variable of its kind."""
    credentials: tuple[CredentialShare, ...] = ()
    """In its place where there are several: a list of sources, or of mappings with `source`, `weight` and quotas."""
    vault_first: bool = False
    price_key: str | None = None
    free: bool = False
    """Calls cost 0: a local model or a flat-rate plan."""
    ca_file: str | None = None
    """Certificates to trust in place of the system's, for a server of one's own."""
    timeouts: Timeouts = Timeouts()
    """How long it may take."""
    max_connections: Count = 256
    """Four times the concurrency of our bench; the providers' own limits are reached first."""
    stream_usage: Literal["ask", "always"] = "always"
    """Whether a stream reports usage only when asked: then we ask, and keep the answer from who did not."""
    hold_s: Annotated[float, Meta(ge=0, le=600)] = 10.0
    """How long a stream without output is held back so that a failure can still be told by its status."""
    api_version: str | None = None
    """The kind `azure` only, and only for an address without `/openai/v1`: which dated version is asked for."""
    attribution: OpenRouterAttribution = OpenRouterAttribution()
    """The kind `openrouter` only: as whose traffic it counts ours; unless the client says so itself."""


LIMIT_TARGET = (
    *("organisation", "team", "project", "key", "user", "session", "task", "tag"),
    *("provider", "credential", "router"),
)
"""What of a limit says which calls it is about."""


class LimitSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A limit under its name: how much may be asked for in any minute, hour or day, by whom.

    Of `organisation` to `router` those that are given say which calls it is about, and `*` that each has the whole
    amount; without any it is about all calls. `origin` says where it stands (`settings.yaml:14`), for messages.
    """

    name: str
    rates: tuple[Rate, ...]
    organisation: str | None = None
    """The organisation whose calls it is about."""
    team: str | None = None
    """The team."""
    project: str | None = None
    """The project."""
    key: str | None = None
    """The key, by its name."""
    user: str | None = None
    """The user."""
    session: str | None = None
    """The session."""
    task: str | None = None
    """The task."""
    tag: str | None = None
    """A tag of theirs."""
    provider: str | None = None
    """The provider that is called."""
    credential: str | None = None
    """One of its credentials, by its name."""
    router: str | None = None
    """The router that the client asked for."""
    origin: str = ""


Strategy = Literal["order", "cheapest"]
MAX_ROUTER_MODELS = 32
"""More than anybody would wait for, as each may take all of its provider's timeouts; and few enough to be priced for
every call: 3 us each, and where a hard budget counts 0.1 ms for a request of 12 KB."""


class RouterSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A router under its name: clients ask for it as for a model, and one of several models answers."""

    models: tuple[ModelRef, ...]
    """Which: each as provider:model, or by another name from `models`."""
    strategy: Strategy = "order"
    """Which is tried first: in the order in which they stand, or by what the request would cost."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the operator decided; `warnings` are sentences to print once at start."""

    version: int = 1
    """The version of this file's schema; Farthing brings an older one up to date."""
    server: ServerSettings = ServerSettings()
    """Where we listen and what we take from a client before we refuse."""
    log: LogSettings = LogSettings()
    """What is written to standard error while the gateway serves, and how."""
    storage: StorageSettings = StorageSettings()
    """Where ledger, keys and budgets are kept."""
    retention: RetentionSettings = RetentionSettings()
    """How long single lines of the ledger are kept."""
    providers: Mapping[str, ProviderSettings]
    """Whom Farthing calls, each under a name of your choice."""
    models: Mapping[str, ModelRef]
    """Other names for models; clients may ask for either."""
    routers: Mapping[str, RouterSettings] = msgspec.field(default_factory=dict)
    """Names that stand for several models, of which one answers."""
    prices: tuple[PriceOverride, ...] = ()
    """Prices of your own in USD; they win over the price list."""
    fixed_costs: tuple[FixedCost, ...] = ()
    """What is paid by the month or the day however much is called; shown beside what calls cost, never in it."""
    prices_source: str = (
        "https://raw.githubusercontent.com/pydantic/genai-prices/refs/heads/main/prices/new_data/v2/data.json"
    )
    """Where `farthing prices refresh` reads the list: an https address or a file. Nothing else ever reads it."""
    translation: TranslationSettings = TranslationSettings()
    """What happens to what a provider's format cannot carry of a client's request."""
    limits: tuple[LimitSettings, ...] = ()
    """How much may be asked for in any minute, hour or day, each under a name of your choice."""
    alerts: AlertSettings = AlertSettings()
    """What is told of, and where."""
    budgets: tuple[BudgetSettings, ...] = ()
    """What may be spent, each under a name of your choice; more can be made while the gateway runs."""
    unpriced: Literal["allow", "refuse"] = "allow"
    """What happens to a call on a model without a known price: shown as of unknown cost, or refused."""
    find_local: bool = True
    """Whether `serve` looks for an Ollama on this machine, while the file names no provider."""
    local: Mapping[str, ProviderSettings] = msgspec.field(default_factory=dict)
    """Providers that are used where they are found when `serve` starts; none where the file names some."""
    providers_named: bool = False
    """Whether the file names the providers; while it does not, they are those whose key is in the environment."""
    warnings: tuple[str, ...] = ()
    said: Said = Said()

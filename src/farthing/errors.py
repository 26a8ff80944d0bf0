"""Every error that Farthing raises on purpose, as one tree whose branches tell whose move it is.

    FarthingError
    ├── CallerError                the client sent something it must change
    │   ├── InvalidRequest             400  the body, a header or a parameter is wrong
    │   │   ├── LostInTranslation      400  the provider's format cannot carry what the request needs
    │   │   └── WrongFields            422  members of an admin's request are wrong; each is named
    │   ├── InvalidKey                 401  no key, or not one of ours
    │   ├── Forbidden                  403  the key is ours, and this is not for it
    │   │   ├── KeyDisabled            403  until the operator enables it again
    │   │   ├── KeyExpired             403  its time is over, or it was replaced and the grace is
    │   │   ├── ModelNotAllowed        403  the key may use other models
    │   │   ├── FaceNotAllowed         403  the key may be used in other formats
    │   │   └── NameNotAllowed         403  the key is for one project, user or other, and the client names another
    │   ├── ModelNotFound              404  no provider can be chosen for that model
    │   ├── RouteNotFound              404  no such path
    │   ├── NotThere                   404  the admin asks for a thing that there is not
    │   ├── Conflict                   409  a name is taken, or settings.yaml owns the thing
    │   ├── MethodNotAllowed           405  the path exists, the method does not
    │   ├── RequestTimeout             408  the request did not arrive in time
    │   ├── WrongHost                  421  called by a name that is not ours
    │   ├── RequestTooLarge            413  body, header or header count over the bound
    │   ├── UnsupportedEncoding        415  a content encoding we do not decode
    │   ├── HeadersTooLarge            431  header block over the bound
    │   └── NotServed                  501  a documented gap: realtime, assistants, images, audio
    ├── MoneyError                 a rule about money forbids the call
    │   ├── UnpricedModel              402  no price is known, and a hard budget or `unpriced: refuse` forbids it
    │   └── BudgetExceeded             402  a budget has not enough left for the call
    ├── RateLimited            429  a limit is reached: the caller waits for as long as is said, and asks again
    ├── ProviderError              the provider, or the way to it, failed
    │   ├── ProviderUnreachable        502  no connection: name, address, TLS
    │   ├── ProviderCut                502  the answer ended before it was complete
    │   ├── ProviderMisbehaved         502  the answer is not HTTP, or breaks a bound
    │   ├── ProviderTimeout            504  connect, first byte, idle or total time ran out
    │   ├── ProviderBusy               503  every connection to it is taken and the queue is full
    │   ├── CredentialsSpent           429  every credential that we have for it is at a limit
    │   └── CredentialsRefused         503  the provider refuses every credential that we have for it
    └── OperatorError              ours or the operator's to mend
        ├── ConfigError                the settings are wrong (file, line, path, value, what is allowed)
        ├── HomeLocked                 another process serves this home
        ├── ExportUnreadable           a provider's usage export cannot be read
        ├── PriceListUnusable          a price list is broken, hostile or newer than this program
        ├── StoreError                 the ledger's database cannot be used
        │   └── LedgerAway             503  a call would need it
        ├── JournalUnwritable      503  nothing is forwarded that could not be billed
        ├── CredentialMissing      503  the provider has no credential
        ├── VaultLocked            503  the master key that credentials are sealed under is missing or another one
        ├── RecordTampered         503  a sealed credential is not what was sealed
        ├── Overloaded             503  our own bounds are reached
        └── Draining               503  the server is stopping

A message holds the value, quoted, and the way out. `status` and `code` are what a face renders; `hint` is printed by
the command line under the message.
"""

from collections.abc import Sequence
from typing import NamedTuple


class FarthingError(Exception):
    """Something went wrong that Farthing can name."""

    status = 500
    code = "internal_error"
    public = ""
    """What whoever does not run the gateway is told in the place of the message (`in_public`); empty: the message."""

    def __init__(self, message: str, *, hint: str | None = None, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.retry_after_s = retry_after_s
        self.call_id: str | None = None
        """The call that failed, where it stands in the ledger."""

    def __str__(self) -> str:
        return f"{self.message} (hint: {self.hint})" if self.hint else self.message


class CallerError(FarthingError):
    """The client sent something it must change before trying again."""

    status = 400
    code = "invalid_request"


class InvalidRequest(CallerError):
    """The body, a header or a parameter is wrong."""


class LostInTranslation(InvalidRequest):
    """The format of the provider cannot carry something that the request needs."""

    code = "lost_in_translation"


class Problem(NamedTuple):
    """One member of a request that is wrong: where it stands, what was found, and what is allowed there."""

    field: str
    message: str
    value: str | None = None
    allowed: str | None = None


class WrongFields(InvalidRequest):
    """Members of a request are wrong; `problems` names every one of them."""

    status = 422
    code = "wrong_fields"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        first = self.problems[0]
        count = len(self.problems)
        more = "" if count == 1 else f" ({count - 1} more {'problem' if count == 2 else 'problems'})"
        super().__init__(f"{first.field}: {first.message}{more}", hint=first.allowed)


class InvalidKey(CallerError):
    """No key was sent, or it is not one of ours."""

    status = 401
    code = "invalid_api_key"


class Forbidden(CallerError):
    """The key is ours, and what is asked is not for it; asking again changes nothing."""

    status = 403
    code = "forbidden"


class KeyDisabled(Forbidden):
    """The key is disabled."""

    code = "key_disabled"


class KeyExpired(Forbidden):
    """The key's time is over, or it was replaced by another and the time of grace is over."""

    code = "key_expired"


class ModelNotAllowed(Forbidden):
    """The key may use other models."""

    code = "model_not_allowed"


class FaceNotAllowed(Forbidden):
    """The key may be used by clients of other formats."""

    code = "face_not_allowed"


class NameNotAllowed(Forbidden):
    """The client names a project, user or other that the key fixes."""

    code = "name_not_allowed"


class ModelNotFound(CallerError):
    """No provider can be chosen for the model."""

    status = 404
    code = "model_not_found"


class RouteNotFound(CallerError):
    """No such path."""

    status = 404
    code = "not_found"


class NotThere(CallerError):
    """What the admin asks for is not there; the message names it."""

    status = 404
    code = "not_there"


class Conflict(InvalidRequest):
    """What is asked for contradicts what there is: a name is taken, or settings.yaml owns the thing."""

    status = 409
    code = "conflict"


class MethodNotAllowed(CallerError):
    """The path exists, the method does not."""

    status = 405
    code = "method_not_allowed"


class RequestTimeout(CallerError):
    """The request did not arrive in time."""

    status = 408
    code = "request_timeout"


class RequestTooLarge(CallerError):
    """The body is over the bound."""

    status = 413
    code = "request_too_large"


class UnsupportedEncoding(CallerError):
    """The body is compressed in a way that we do not decode."""

    status = 415
    code = "unsupported_encoding"


class WrongHost(CallerError):
    """A browser called us by a name that is not ours."""

    status = 421
    code = "wrong_host"


class HeadersTooLarge(CallerError):
    """The header block is over the bound, in bytes or in number."""

    status = 431
    code = "headers_too_large"


class NotServed(CallerError):
    """A documented gap: the endpoint is out of Farthing's scope."""

    status = 501
    code = "not_served"


class MoneyError(FarthingError):
    """A rule about money forbids the call."""

    status = 402
    code = "payment_required"


class UnpricedModel(MoneyError):
    """No price is known for the model, and settings, a hard budget or a limit refuse such calls.

    `of_credential` as in `RateLimited`.
    """

    code = "unpriced_model"
    of_credential = False

    @classmethod
    def of(cls, ref: object, why: str) -> "UnpricedModel":
        """Return the refusal of a model; `why` ends the sentence that no price is known for it."""
        hint = f'the operator adds a row to "prices:" in settings.yaml: {{model: "{ref}", input: 1, output: 2}}'
        return cls(f"no price is known for '{ref}'{why}", hint=hint)


class BudgetExceeded(MoneyError):
    """A budget has not enough left for the call; `lacks` says which, and how much (see `ledger/budget_refusal.py`)."""

    code = "budget_exceeded"
    lacks: tuple[object, ...] = ()


class RateLimited(FarthingError):
    """A limit of ours is reached. `retry_after_s` is when the call will fit, if nobody else comes first; or never.

    `limit` is the limit's name, `word` what it limits (`tokens_per_minute`), `left` how much of that is left, and
    `headers` tell the same to clients. `of_credential`: it is about the credential that the call was to be made with,
    and another one may have room; `of_provider`: likewise about the provider. `held_elsewhere`: other processes hold
    some of it, and may give it back in a moment.
    """

    status = 429
    code = "rate_limit_exceeded"
    limit = ""
    word = ""
    left = 0
    headers: tuple[tuple[bytes, bytes], ...] = ()
    of_credential = False
    of_provider = False
    held_elsewhere = False


class ProviderError(FarthingError):
    """The provider, or the way to it, failed."""

    status = 502
    code = "provider_error"


class ProviderUnreachable(ProviderError):
    """No connection could be made: name, address or TLS."""

    code = "provider_unreachable"


class ProviderCut(ProviderError):
    """The provider's answer ended before it was complete."""

    code = "provider_cut"


class ProviderMisbehaved(ProviderError):
    """The provider's answer is not HTTP, or breaks a bound."""

    code = "provider_misbehaved"


class ProviderTimeout(ProviderError):
    """The provider did not connect, answer or go on in time."""

    status = 504
    code = "provider_timeout"


class ProviderBusy(ProviderError):
    """Every connection to the provider is taken and the queue is full."""

    status = 503
    code = "provider_busy"


class CredentialsSpent(ProviderError):
    """Every credential that we have for the provider is at a limit, its own or ours; `retry_after_s` is until when."""

    status = 429
    code = "credentials_spent"


class CredentialsRefused(ProviderError):
    """The provider refuses every credential that we have for it."""

    status = 503
    code = "credentials_refused"


class OperatorError(FarthingError):
    """Ours or the operator's to mend; what it says may name files, servers and accounts, so it is for the operator."""

    public = "The gateway cannot do this now, and its operator must look at it."


class ConfigError(OperatorError):
    """The settings are wrong; the message says where, what was found and what is allowed."""

    code = "invalid_configuration"
    public = "The settings of the gateway are wrong."


class HomeLocked(OperatorError):
    """Another process serves this home."""

    code = "home_locked"


class PriceListUnusable(OperatorError):
    """A price list cannot be used; the message says what is wrong and where. Nothing was changed."""


class ExportUnreadable(OperatorError):
    """A provider's export of usage or costs cannot be read; the message says what is wrong, and in which line."""

    code = "export_unreadable"


class StoreError(OperatorError):
    """The ledger's database cannot be used; a call that needs it may be made again."""

    status = 503
    code = "store_error"
    public = "The ledger's database cannot be used now."


class LedgerAway(StoreError):
    """A call needs the store, which is away; names no place, and is told to clients as it is."""

    public = ""


class JournalUnwritable(OperatorError):
    """The journal cannot be written, so nothing may be forwarded."""

    status = 503
    code = "journal_unwritable"
    public = "Calls cannot be written down now, and nothing is forwarded that could not be billed."


class CredentialMissing(OperatorError):
    """The provider is configured without a usable credential."""

    status = 503
    code = "credential_missing"
    public = "The provider has no credential that can be used."


class VaultLocked(OperatorError):
    """The master key under which credentials are sealed is missing, is another one, or cannot be used."""

    status = 503
    code = "vault_locked"
    public = "The vault of the gateway is locked."


class RecordTampered(OperatorError):
    """A sealed credential, or what it is sealed together with, is not what was sealed."""

    status = 503
    code = "record_tampered"
    public = "A credential in the vault of the gateway cannot be trusted."


class Overloaded(OperatorError):
    """Our own bounds on connections or buffered bytes are reached."""

    status = 503
    code = "overloaded"
    public = ""


class Draining(OperatorError):
    """The server is stopping and takes no new calls."""

    status = 503
    code = "draining"
    public = ""


def in_public(error: FarthingError) -> FarthingError:
    """Return an error as it is told to whoever does not run the gateway: without our files, servers and accounts.

    Whoever gave this one error other words for the public has looked at its hint, too.
    """
    if not error.public:
        return error
    hint = error.hint if "public" in vars(error) else "the gateway's log says why; tell the operator"
    told = type(error)(error.public, hint=hint, retry_after_s=error.retry_after_s)
    told.call_id = error.call_id
    return told

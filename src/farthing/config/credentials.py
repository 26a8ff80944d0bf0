"""Where a provider's credential comes from: the environment, a file or the vault, never settings.yaml itself.

Settings are copied into tickets and repositories; so a credential written there is refused, and neither the refusal nor
anything else here repeats it.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from farthing.config.schema import CredentialSource
from farthing.errors import CredentialMissing
from farthing.types.secret import Secret

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
_IN_VAULT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_OUR_KEY = "ft-"
"""How a Farthing key begins. Whoever exported a client's snippet and starts the gateway in the same terminal hands it
its own key."""
_MAX_FILE_BYTES = 16_384
"""The longest credential that fits into a header block, with room; a key is about 100 bytes."""


def parse_credential(text: str) -> CredentialSource:
    """Return the source that `env:NAME`, `file:/path`, `vault`, `vault:NAME` or `none` names.

    Raises:
        ValueError: it is none of these; the message does not repeat it, since it may be the secret itself.
    """
    kind, colon, name = text.partition(":")
    if text == "none":
        return CredentialSource("none")
    if kind == "env" and colon:
        if not _VARIABLE.fullmatch(name):
            raise ValueError(
                "after env: comes the name of an environment variable (letters, digits, _); not shown here."
            )
        return CredentialSource("env", name)
    if kind == "file" and colon:
        if not name.startswith(("/", "~/")) and not Path(name).is_absolute():
            raise ValueError("after file: comes a whole path, such as file:/etc/farthing/openai.key; not shown here.")
        return CredentialSource("file", str(Path(name).expanduser()))
    if text == "vault":
        return CredentialSource("vault")
    if kind == "vault" and colon:
        if not _IN_VAULT.fullmatch(name):
            raise ValueError('after vault: comes a name, as "farthing credentials list" shows it; not shown here.')
        return CredentialSource("vault", name)
    raise ValueError(
        "a credential is not written into this file (not shown here); put it into an environment variable and write"
        ' env:NAME, into a file and write file:/path, or into the vault ("farthing credentials add") and write vault;'
        " or write none."
    )


def one_credential(text: str) -> str:
    """Return the name that calls made with a credential have in the ledger, of the source of that one.

    Raises:
        ValueError: it is no source of one; the message does not repeat it, since it may be the secret itself.
    """
    try:
        source = parse_credential(text)
    except ValueError:
        source = CredentialSource("none")
    if source.kind == "none" or not source.name:
        raise ValueError("is the source of one credential: env:NAME, file:/path or vault:NAME; what is there is not.")
    return str(source)


def credential_warning(source: CredentialSource, environment: Mapping[str, str]) -> str | None:
    """Return a sentence when the credential cannot be read now, is one of ours, or others can read it too."""
    match source.kind:
        case "env":
            value = environment.get(source.name, "").strip()
            if not value:
                return f"the environment variable {source.name} is not set; calls to this provider will be refused."
            if value.startswith(_OUR_KEY):
                return (
                    f"the environment variable {source.name} holds a Farthing key ({_OUR_KEY}...), which is for"
                    " clients; set it to the provider's own key where Farthing is started."
                )
        case "file":
            try:
                state = Path(source.name).stat()
            except OSError as error:
                return f"{source.name!r} cannot be read ({error.strerror}); calls to this provider will be refused."
            if os.name == "posix" and state.st_mode & 0o077 and _can_be_changed(Path(source.name), state):
                return f"{source.name!r} can be read by others; chmod 600 it."
            if state.st_size == 0:
                return f"{source.name!r} is empty; calls to this provider will be refused."
            if _begins_with_our_key(Path(source.name)):
                return (
                    f"{source.name!r} holds a Farthing key ({_OUR_KEY}...), which is for clients; put the provider's"
                    " own key there."
                )
        case "vault" | "none":  # what is in the vault is not for the settings' reader to look at
            pass
    return None


def _can_be_changed(path: Path, state: os.stat_result) -> bool:
    """Whether this account can change the file's mode; of a secret that was mounted somebody else decides it."""
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return False
    return os.geteuid() in (0, state.st_uid)


def _begins_with_our_key(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_FILE_BYTES).strip().startswith(_OUR_KEY.encode())
    except OSError:
        return False  # told when it is read in earnest, with the reason


def read_credential(source: CredentialSource, environment: Mapping[str, str]) -> Secret | None:
    """Return the credential as it is now, `None` for a provider that needs none.

    Raises:
        CredentialMissing: the variable or file is missing, empty, or holds what cannot be sent in a header.
    """
    assert source.kind != "vault", "the vault is opened elsewhere"
    if source.kind == "none":
        return None
    if source.kind == "env":
        what, way_out = f"The environment variable {source.name}", _SET_IT
        value = environment.get(source.name, "").strip()
    else:
        what, way_out = f"The credential file {source.name!r}", _PUT_IT_THERE
        try:
            with Path(source.name).open("rb") as file:
                value = file.read(_MAX_FILE_BYTES + 1).decode("utf-8", "replace").strip()
        except OSError as error:
            raise CredentialMissing(f"{what} cannot be read: {error.strerror}.", hint=way_out) from error
    if not value:
        empty = "is not set or empty" if source.kind == "env" else "is empty"
        raise CredentialMissing(f"{what} {empty}.", hint=way_out)
    if len(value) > _MAX_FILE_BYTES or not value.isascii() or not value.isprintable():
        raise CredentialMissing(f"{what} holds something that cannot be a credential (not shown).", hint=way_out)
    return Secret(value)


_OR_ANOTHER = "or change the provider's credential in settings.yaml (env:NAME, file:/path, vault or none)."
_SET_IT = f"set it where the gateway is started, {_OR_ANOTHER}"
_PUT_IT_THERE = f"put the key there, readable for the gateway's account, {_OR_ANOTHER}"

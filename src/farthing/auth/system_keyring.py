"""The system's keyring, asked in a process of its own: `python -m farthing.auth.system_keyring read NAME`.

A keyring may wait for somebody to type a password on a screen that nobody looks at, and a thread that waits so cannot
be ended; a process can. So it is given a few seconds, and one that is locked is not asked at all, because asking is
what makes the window appear. A machine without a desktop has none: there nothing is started. Which keyrings are asked
is a short list (macOS, Windows, the Secret Service), or whatever the operator names in PYTHON_KEYRING_BACKEND; others
are files in plain text, or ask.
"""

import importlib.util
import subprocess
import sys
from collections.abc import Mapping

import msgspec

from farthing.errors import VaultLocked

WAIT_S = 5.0
"""One that answers by itself takes 0.4 s with the start of the process; who takes longer is asking a person."""
_SERVICE = "farthing master key"
_CHOSEN = "PYTHON_KEYRING_BACKEND"
_QUIET = ("keyring.backends.macOS", "keyring.backends.Windows", "keyring.backends.SecretService")
_MAX_BYTES = 65_536
_NONE, _UNUSABLE = 3, 4


class KeyringAnswer(msgspec.Struct, frozen=True):
    """What came of asking: the `text` that is kept, nothing, or why there is no asking."""

    text: str | None = None
    unusable: str | None = None


def read_keyring(name: str, environment: Mapping[str, str]) -> KeyringAnswer:
    """Return what the keyring keeps under this name. Never waits longer than `WAIT_S`, and never raises."""
    return _asked("read", name, None, environment)


def write_keyring(name: str, text: str, environment: Mapping[str, str]) -> None:
    """Keep this under that name, in the place of what was there.

    Raises:
        VaultLocked: the keyring does not keep it.
    """
    answer = _asked("write", name, text, environment)
    if answer.unusable is not None:
        raise VaultLocked(f"The system's keyring does not keep the master key: {answer.unusable}.")


def why_not(environment: Mapping[str, str], platform: str = sys.platform) -> str | None:
    """Return why the keyring cannot be asked, as far as that is known without asking; `None` where it may be."""
    if importlib.util.find_spec("keyring") is None:
        return "the package keyring is not installed"
    if platform in ("darwin", "win32") or environment.get(_CHOSEN) or environment.get("DBUS_SESSION_BUS_ADDRESS"):
        return None
    return "this account has no desktop session"


def _asked(what: str, name: str, text: str | None, environment: Mapping[str, str]) -> KeyringAnswer:
    reason = why_not(environment)
    if reason is not None:
        return KeyringAnswer(unusable=reason)
    try:
        ran = subprocess.run(  # noqa: S603 - our own module, and a name that is an argument of its own
            [sys.executable, "-m", __name__, what, name],
            input=(text or "").encode(),
            capture_output=True,
            timeout=WAIT_S,
            check=False,
            env=dict(environment),
            start_new_session=True,  # without a terminal nothing can be asked on one
        )
    except subprocess.TimeoutExpired:
        return KeyringAnswer(unusable=f"it does not answer within {WAIT_S:.0f} s")
    except OSError as error:
        return KeyringAnswer(unusable=f"it cannot be asked: {error.strerror or error}")
    if ran.returncode == 0:
        return KeyringAnswer(text=ran.stdout[:_MAX_BYTES].decode("utf-8", "replace"))
    if ran.returncode == _NONE:
        return KeyringAnswer()
    told = ran.stderr.decode("utf-8", "replace").strip().splitlines()
    return KeyringAnswer(unusable=told[-1][:200] if told else f"asking it ended with {ran.returncode}")


def main(what: str, name: str) -> int:
    """Read or write in this process; what is written comes from stdin, so that no list of processes shows it."""
    import os  # noqa: PLC0415 - the other process only

    import keyring  # noqa: PLC0415 - an extra, and 0.1 s

    ring = keyring.get_keyring()
    rings = list(getattr(ring, "backends", [ring]))
    usable = next((one for one in rings if os.environ.get(_CHOSEN) or type(one).__module__ in _QUIET), None)
    if usable is None:
        sys.stderr.write("there is none that answers without asking\n")
        return _UNUSABLE
    if type(usable).__module__ == _QUIET[-1] and _secret_service_is_locked():
        sys.stderr.write("it is locked\n")
        return _UNUSABLE
    if what == "write":
        usable.set_password(_SERVICE, name, sys.stdin.read(_MAX_BYTES))
        return 0
    found = usable.get_password(_SERVICE, name)
    if found is None:
        return _NONE
    sys.stdout.write(found)
    return 0


def _secret_service_is_locked() -> bool:
    import secretstorage  # noqa: PLC0415 - what keyring itself brings where there is a Secret Service

    connection = secretstorage.dbus_init()
    try:
        return bool(secretstorage.get_default_collection(connection).is_locked())
    finally:
        connection.close()


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except Exception as error:  # noqa: BLE001 - whatever a backend raises; its words are the answer, its frames are not
        sys.stderr.write(f"{type(error).__name__}\n")
        sys.exit(_UNUSABLE)

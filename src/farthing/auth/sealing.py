"""Seals secrets under the master key: AES-256-GCM with a random nonce, bound to the record that a secret belongs to.

Id and provider of the record are authenticated with it, so that whoever can write the database cannot give the secret
of one provider to another one's address. A nonce is 96 random bits; under one key that is good for 2**32 sealings
(NIST SP 800-38D, 8.3), and each is a person's doing: at one a second they last for 136 years, so they are not counted.

`cryptography` takes 35 ms and 8 MB, and most gateways have no vault; so it is imported where something is sealed.
"""

import hashlib
import hmac

import msgspec

from farthing.errors import RecordTampered, VaultLocked
from farthing.types.identity import RandomBytes
from farthing.types.secret import Secret

KEY_BYTES = 32
NONCE_BYTES = 12
_ABOUT = b"farthing credential 1"
"""What is sealed and how; a later way to do it has another number, and no secret passes for one of the other."""


class MasterKey:
    """One master key; prints as its id, which tells keys apart and nothing about them."""

    __slots__ = ("_key", "id")

    def __init__(self, key: bytes) -> None:
        assert len(key) == KEY_BYTES, len(key)
        self._key = Secret(key.hex())
        self.id = hmac.digest(key, b"farthing master key id", hashlib.sha256)[:8].hex()

    def __repr__(self) -> str:
        return f"MasterKey({self.id})"

    def reveal(self) -> bytes:
        """Return the key itself; call it only to seal, to unseal, and to keep it."""
        return bytes.fromhex(self._key.reveal())


class Sealed(msgspec.Struct, frozen=True):
    """A secret as it is kept; `key_id` names the master key that opens it."""

    ciphertext: bytes
    nonce: bytes
    key_id: str


def seal(secret: Secret, key: MasterKey, *, record_id: str, provider: str, random_bytes: RandomBytes) -> Sealed:
    """Return the secret, sealed for this record and provider."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - see above

    nonce = random_bytes(NONCE_BYTES)
    assert len(nonce) == NONCE_BYTES, len(nonce)
    sealed = AESGCM(key.reveal()).encrypt(nonce, secret.reveal().encode(), _bound_to(record_id, provider))
    return Sealed(sealed, nonce, key.id)


def unseal(sealed: Sealed, key: MasterKey, *, record_id: str, provider: str) -> Secret:
    """Return the secret.

    Raises:
        VaultLocked: this is not the key that it was sealed under.
        RecordTampered: it is not what was sealed, or not for this record and provider.
    """
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

    if sealed.key_id != key.id:
        raise VaultLocked(f"The master key {key.id} does not open what was sealed under {sealed.key_id[:16]!r}.")
    try:
        plain = AESGCM(key.reveal()).decrypt(sealed.nonce, sealed.ciphertext, _bound_to(record_id, provider))
        return Secret(plain.decode())
    except (InvalidTag, ValueError):  # the second: a nonce of another length, or no text
        # Without its cause: what cryptography raises has our arguments in its frames.
        raise RecordTampered(
            f"The credential {record_id} of {provider!r} is not what was sealed: its record was changed.",
            hint='give its secret anew ("farthing credentials rotate"), and find out who writes to the database.',
        ) from None


def _bound_to(record_id: str, provider: str) -> bytes:
    return msgspec.json.encode([_ABOUT.decode(), record_id, provider])

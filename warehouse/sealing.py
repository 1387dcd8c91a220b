"""Secrets at rest: sealed under a key that is not in the warehouse, opened where they are used."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from uuid import uuid4

from warehouse.settings import SECRET_KEY_BYTES, WarehouseSettings, secret_keys

FILE = "secret.key"
"""Where a home keeps the key that was made for it, when settings name none."""
_NONCE_BYTES = 12


class UnreadableSecretError(RuntimeError):
    """A sealed secret cannot be opened; the message says why and what to do."""


class Seal:
    """Seals text with AES-256-GCM under the first key; opens what any of the keys sealed.

    ``context`` binds a sealed text to where it belongs: moved elsewhere, it does not open. Keys are
    looked up when first needed.
    """

    def __init__(self, load: Callable[[], Sequence[bytes]]) -> None:
        self._load = load

    @classmethod
    def of(cls, settings: WarehouseSettings) -> Seal:
        """Under SEVENFOLD_SECRET_KEY; where that is not set, the home's own, made when missing."""
        if settings.secret_key is None:
            return cls(lambda: [_of_home(settings.home / FILE)])
        given = settings.secret_key.get_secret_value()
        return cls(lambda: secret_keys(given))

    @cached_property
    def _keys(self) -> dict[str, bytes]:
        return {_name(key): key for key in self._load()}

    def seal(self, text: str, context: str) -> str:
        """The text sealed: the name of the key, and what only that key opens."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        name, key = next(iter(self._keys.items()))
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + AESGCM(key).encrypt(nonce, text.encode(), context.encode())
        return f"{name}:{base64.b64encode(sealed).decode()}"

    def open(self, sealed: str, context: str) -> str:
        """The text as it was; UnreadableSecretError where it cannot be told."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        name, _, encoded = sealed.partition(":")
        key = self._keys.get(name)
        if key is None:
            raise UnreadableSecretError(
                f"the secret of {context} was sealed under another key than SEVENFOLD_SECRET_KEY:"
                " add the former one behind it, after a comma, or rotate the secret"
            )
        try:
            data = base64.b64decode(encoded, validate=True)
            opened = AESGCM(key).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], context.encode())
        except (binascii.Error, ValueError, InvalidTag):
            raise UnreadableSecretError(
                f"the stored secret of {context} is damaged: rotate it"
            ) from None
        return opened.decode()


def _name(key: bytes) -> str:
    """What a key is told by; it gives nothing of it away."""
    return hashlib.sha256(b"sevenfold secret key\0" + key).hexdigest()[:8]


def _of_home(path: Path) -> bytes:
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{uuid4().hex}")
        text = base64.b64encode(secrets.token_bytes(SECRET_KEY_BYTES)).decode()
        draft.touch(0o600, exist_ok=False)
        draft.write_text(text + "\n", encoding="utf-8")
        try:
            os.link(draft, path)  # whole or not at all, and never over another process's
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    try:
        [key] = secret_keys(path.read_text(encoding="utf-8").strip())
    except ValueError as error:
        raise UnreadableSecretError(f"{path} holds no key: {error}") from None
    return key

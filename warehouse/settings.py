"""Settings of data at rest: where state lives, which source it comes from, how strict it is."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import date
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from warehouse.objects import SCHEMES, remote

PROJECT = Path(__file__).resolve().parent.parent
UNSAFE_WHEN_UNSET = {
    "warehouse_url": "the default is a SQLite file on this machine, which no other instance sees",
    "source": "the default is a generated firm, whose decisions mean nothing to a real one",
    "secret_key": "the default is a file in the home, beside what it protects, and no other"
    " instance has it; `openssl rand -base64 32` makes one",
}
SECRET_KEY_BYTES = 32


class WarehouseSettings(BaseSettings):
    """Read from ``SEVENFOLD_…``; paths are absolute after loading."""

    model_config = SettingsConfigDict(
        env_prefix="SEVENFOLD_",
        extra="ignore",
        env_ignore_empty=True,
        hide_input_in_errors=True,  # it may be a secret
    )

    env: Literal["development", "staging", "production"] = Field(
        default="development",
        description="Where this runs; `production` refuses unsafe defaults by name.",
    )
    home: Path = Field(
        default=PROJECT / ".sevenfold",
        description="Folder of all local state; a home belongs to one source.",
    )
    source: str = Field(
        default="sample",
        description="Where billing data comes from: `sample[:clients=N,seed=S,end=DATE]`,"
        " `folder:PATH` or a SQLAlchemy URL.",
    )
    warehouse_url: str = Field(
        default="",
        description="Database of scores and records: a SQLite file or PostgreSQL; default:"
        " `warehouse.db` in the home.",
    )
    store: str = Field(
        default="",
        description="Root of the lake (`lake/`), of model artifacts (`models/`) and of the files of"
        " bulk jobs (`jobs/`): a folder, or an object store's URI such as `s3://bucket/prefix`,"
        " whose credentials come from its own"
        " variables (`AWS_…`); default: the home.",
    )
    timezone: str = Field(
        default="UTC", description="The firm's time zone (IANA name): a day ends at its midnight."
    )
    currency: str = Field(
        default="EUR", pattern=r"^[A-Z]{3}$", description="Currency of all money (ISO 4217)."
    )
    start_date: date | None = Field(
        default=None,
        description="First daily partition; default: the first month with data.",
    )
    retention_days: int = Field(
        default=400,
        ge=1,
        description="Days that ended jobs are kept, and that `sevenfold purge` leaves scores,"
        " stored features and old versions of lake tables.",
    )
    job_days: int = Field(
        default=7, ge=1, description="Days after a bulk job's end that its files are kept."
    )
    quarantine_warn_share: float = Field(
        default=0.001,
        ge=0,
        le=1,
        description="Share of quarantined rows above which a table warns.",
    )
    quarantine_fail_share: float = Field(
        default=0.05, ge=0, le=1, description="Share of quarantined rows above which a table fails."
    )
    secret_key: SecretStr | None = Field(
        default=None,
        description="Key under which secrets of webhooks are stored: 32 random bytes in base64"
        " (`openssl rand -base64 32`). To replace it, put the new one first and the former behind"
        " it, with a comma. Default: `secret.key` in the home, made when first needed.",
    )
    example_data: Path | None = Field(
        default=None, description="Folder of open data sets, for examples and `evaluate`."
    )

    @field_validator("home", "example_data")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return path.expanduser().resolve() if path is not None else None

    @field_validator("store")
    @classmethod
    def _known_store(cls, store: str) -> str:
        scheme = re.match(r"([a-z][a-z0-9+.-]+):", store)
        if scheme is None:
            return store
        if not re.fullmatch(rf"({'|'.join(SCHEMES)})://[^/?#:]+(/[^?#]*)?", store):
            known = ", ".join(f"{name}://" for name in SCHEMES)
            raise ValueError(
                f"expected a folder, or {known} with a bucket and perhaps a prefix, as in"
                " s3://bucket/prefix; endpoint, region and credentials go into the store's own"
                " variables (AWS_ENDPOINT_URL …), never into the URI"
            )
        return store

    @field_validator("secret_key")
    @classmethod
    def _usable_keys(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None:
            secret_keys(key.get_secret_value())
        return key

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(
                f"unknown time zone {name!r}: use an IANA name such as Europe/Berlin"
            ) from None
        return name

    @model_validator(mode="after")
    def _fill_and_refuse(self) -> WarehouseSettings:
        if self.env == "production":
            unsafe = [
                f"SEVENFOLD_{name.upper()} is not set: {why}"
                for name, why in UNSAFE_WHEN_UNSET.items()
                if name not in self.model_fields_set
            ]
            if unsafe:
                raise ValueError("SEVENFOLD_ENV=production refuses: " + "; ".join(unsafe))
        if self.quarantine_warn_share > self.quarantine_fail_share:
            raise ValueError(
                f"quarantine_warn_share ({self.quarantine_warn_share}) is above"
                f" quarantine_fail_share ({self.quarantine_fail_share}): warn before failing"
            )
        # Defaults that follow another field; they stay out of model_fields_set.
        if not self.warehouse_url:
            self.__dict__["warehouse_url"] = f"sqlite:///{self.home / 'warehouse.db'}"
        if not self.store:
            self.__dict__["store"] = str(self.home)
        elif not remote(self.store):
            self.__dict__["store"] = str(Path(self.store).expanduser().resolve())
        return self

    @property
    def lake(self) -> str:
        """Root of the Delta tables: a folder or URI."""
        return f"{self.store.rstrip('/')}/lake"

    @property
    def models(self) -> str:
        """Root of the model artifacts: a folder or URI."""
        return f"{self.store.rstrip('/')}/models"

    @property
    def jobs(self) -> str:
        """Root of the files of bulk jobs: a folder or URI."""
        return f"{self.store.rstrip('/')}/jobs"

    @property
    def zone(self) -> ZoneInfo:
        """The firm's time zone."""
        return ZoneInfo(self.timezone)

    def masked(self) -> dict[str, object]:
        """All values as they may be printed: passwords in URLs are replaced by ``***``."""
        values = self.model_dump(mode="json")
        return values | {
            name: mask_url(str(values[name])) for name in ("source", "warehouse_url", "store")
        }


def secret_keys(text: str) -> list[bytes]:
    """The keys in that text, separated by commas; ValueError, without the text, for another form.

    Both alphabets of base64 will do, with or without the signs at its end.
    """
    keys = []
    for number, part in enumerate(text.split(","), 1):
        plain = part.strip().rstrip("=").translate(str.maketrans("-_", "+/"))
        try:
            key = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != SECRET_KEY_BYTES:
            raise ValueError(
                f"key {number} is not {SECRET_KEY_BYTES} bytes in base64, as"
                " `openssl rand -base64 32` makes them"
            )
        keys.append(key)
    return keys


def mask_url(text: str) -> str:
    """The URL without its password and without secret-looking query values."""
    if "://" not in text:
        return text
    try:
        url = make_url(text)
    except ArgumentError:
        return "***"
    secret = {
        key: "***"
        for key in url.query
        if any(word in key.lower() for word in ("password", "secret", "token", "key"))
    }
    return url.update_query_dict(secret).render_as_string(hide_password=True)

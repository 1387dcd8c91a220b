"""Commands about the API's keys: whoever works on the machine can always make one."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape

from orchestration.commands.output import AsJson, note, print_json, show
from orchestration.commands.pipeline import Home, use_existing_home
from warehouse.repositories.keys import STANDARD_TIER, InvalidKeyError, UnknownKeyError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from warehouse.repositories.keys import ApiKey

MENDABLE = (UnknownKeyError, InvalidKeyError)

keys = typer.Typer(help="Keys of the API: who may call it, and what for.")

KeyId = Annotated[str, typer.Argument(help="The key's id: the 12 characters after `svf_`.")]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    keys.command("create")(create)
    keys.command("list")(list_keys)
    keys.command("revoke")(revoke)
    keys.command("rotate")(rotate)
    app.add_typer(keys, name="keys")


def create(
    owner: Annotated[
        str, typer.Option("--owner", help="Whose it is; what an owner's keys make is the owner's.")
    ],
    role: Annotated[
        Literal["read", "write", "admin"],
        typer.Option("--role", help="read, write (also decisions and jobs) or admin (also keys)."),
    ],
    name: Annotated[str, typer.Option("--name", help="What it is for.")] = "key",
    tier: Annotated[
        str, typer.Option("--tier", help="Which rate limit it has: a tier of the API's settings.")
    ] = STANDARD_TIER,
    expires_days: Annotated[
        int | None,
        typer.Option("--expires-days", min=1, max=36500, help="Days it works; default: for good."),
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and show it, this once: only its hash is stored.

    Works on this machine whether the API runs or not, and a running one knows the key at once.
    """
    use_existing_home(home)
    from ml.lifecycle.workspace import Workspace
    from warehouse.database import utc_now, writing
    from warehouse.repositories import keys as repository

    expires = None if expires_days is None else utc_now() + timedelta(days=expires_days)
    with writing(Workspace.current().engine) as connection:
        key, shown = repository.create(connection, owner, name, role, tier, actor(), expires)
        log(connection, "key.create", key.id, {"owner": key.owner, "role": key.role})
    _show_once(key, shown, as_json)


def list_keys(
    every: Annotated[bool, typer.Option("--all", help="Also those that were revoked.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """The keys, newest first: whose, what for, and when they were last used; never the secrets."""
    use_existing_home(home)
    from ml.lifecycle.workspace import Workspace
    from warehouse.database import reading, utc_now
    from warehouse.repositories import keys as repository

    with reading(Workspace.current().engine) as connection:
        found = repository.all_keys(connection, include_revoked=every)
    now = utc_now()
    show(
        [_row(key, now) for key in found],
        as_json,
        title="Keys",
        empty="No key yet: `sevenfold keys create --owner NAME --role admin` makes one.",
    )


def revoke(key_id: KeyId, home: Home = None, as_json: AsJson = False) -> None:
    """Stop a key for good; every running API refuses it within 5 seconds."""
    use_existing_home(home)
    from ml.lifecycle.workspace import Workspace
    from warehouse.database import utc_now, writing
    from warehouse.repositories import keys as repository

    with writing(Workspace.current().engine) as connection:
        changed = repository.revoke(connection, key_id, utc_now())
        if changed:
            log(connection, "key.revoke", key_id, {})
    if as_json:
        print_json({"id": key_id, "revoked": True, "changed": changed})
    else:
        note(f"Key {key_id} is revoked." if changed else f"Key {key_id} was revoked before.")


def rotate(
    key_id: KeyId,
    grace_hours: Annotated[
        float,
        typer.Option(
            "--grace-hours", min=0, max=24 * 365, help="How long the old key goes on working."
        ),
    ] = 24.0,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Replace a key by a new one, shown this once; both work until the grace ends.

    Owner, name, role and tier stay. A key made for a limited time gets one for as long a time.
    """
    use_existing_home(home)
    from ml.lifecycle.workspace import Workspace
    from warehouse.database import writing
    from warehouse.repositories import keys as repository

    with writing(Workspace.current().engine) as connection:
        key, shown = repository.rotate(connection, key_id, actor(), timedelta(hours=grace_hours))
        log(connection, "key.rotate", key_id, {"to": key.id})
        old = repository.get(connection, key_id)
    _show_once(key, shown, as_json)
    if old is not None and old.expires_at is not None:
        note(f"Key {key_id} works until {old.expires_at.isoformat(sep=' ', timespec='seconds')}.")


def _show_once(key: ApiKey, shown: str, as_json: bool) -> None:
    """The key alone on standard output, so that a script can take it; the rest beside it."""
    if as_json:
        print_json({**_row(key, key.created_at), "key": shown})
    else:
        typer.echo(shown)
    ends = "" if key.expires_at is None else f", until {key.expires_at:%Y-%m-%d %H:%M} UTC"
    note(f"A key of {escape(key.owner)} to {key.role}{ends}: keep it now, it is not shown again.")


def _row(key: ApiKey, now: datetime) -> dict[str, Any]:
    return {
        "id": key.id,
        "owner": key.owner,
        "name": key.name,
        "role": key.role,
        "tier": key.tier,
        "state": key.state(now),
        "created_at": key.created_at,
        "created_by": key.created_by,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
        "rotated_from": key.rotated_from,
    }


def log(connection: Connection, action: str, subject: str, details: Mapping[str, Any]) -> None:
    """Add what a command does to the audit log, in the transaction that does it."""
    from warehouse.repositories import audit

    audit.append(connection, actor(), action, subject, details)


def actor() -> str:
    """Who works on this machine, as records name it."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # a container may run as a user that has no name
        return f"cli:{os.getuid()}"

"""Commands about webhooks: who is told of what, and what was delivered."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Annotated, Any

import typer

from ml.webhooks.settings import WebhookSettings
from ml.webhooks.targets import Reach, RefusedTargetError, Target
from orchestration.commands.keys import actor, log
from orchestration.commands.output import AsJson, note, print_json, show
from orchestration.commands.pipeline import Home, use_existing_home
from warehouse.database import reading, utc_now, writing
from warehouse.events import EVENTS
from warehouse.repositories import deliveries
from warehouse.repositories import webhooks as repository
from warehouse.repositories.deliveries import Delivery, DisabledWebhookError, UnknownDeliveryError
from warehouse.repositories.webhooks import (
    InvalidWebhookError,
    TooManyWebhooksError,
    UnknownWebhookError,
    Webhook,
)
from warehouse.sealing import Seal, UnreadableSecretError

MENDABLE = (
    *(RefusedTargetError, InvalidWebhookError, TooManyWebhooksError, UnknownWebhookError),
    *(UnknownDeliveryError, DisabledWebhookError, UnreadableSecretError),
)

webhooks = typer.Typer(help="Webhooks: who is told of what, and what was delivered.")

WebhookId = Annotated[
    str, typer.Argument(help="The webhook's id, as `sevenfold webhooks list` shows it.")
]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    webhooks.command("create")(create)
    webhooks.command("list")(list_webhooks)
    webhooks.command("test")(send_test)
    webhooks.command("deliveries")(list_deliveries)
    webhooks.command("replay")(replay)
    webhooks.command("rotate")(rotate)
    webhooks.command("enable")(enable)
    webhooks.command("delete")(delete)
    app.add_typer(webhooks, name="webhooks")


def create(
    url: Annotated[str, typer.Argument(help="Where to POST: https://…")],
    owner: Annotated[
        str, typer.Option("--owner", help="Whose it is: it is told of this owner's jobs.")
    ],
    events: Annotated[
        list[str], typer.Option("--event", help=f"What to be told of: {', '.join(EVENTS)}.")
    ],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Make a webhook and show its secret, this once. The API delivers to it while it runs."""
    use_existing_home(home)
    from ml.lifecycle.workspace import Workspace

    workspace = Workspace.current()
    reach = Reach.of(WebhookSettings(), workspace.settings.env)
    asyncio.run(reach.addresses(Target.parse(url)))
    with writing(workspace.engine) as connection:
        seal = Seal.of(workspace.settings)
        made, secret = repository.create(connection, seal, owner, url, events, actor())
        log(connection, "webhook.create", made.id, {"owner": owner, "events": made.events})
    _show_once(made, secret, as_json)


def list_webhooks(
    owner: Annotated[str | None, typer.Option("--owner", help="Only this owner's.")] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="At most so many.")] = 100,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """The webhooks, newest first, and whether they take what is sent; never the secrets."""
    use_existing_home(home)
    from ml.lifecycle.workspace import Workspace

    with reading(Workspace.current().engine) as connection:
        found = repository.page(connection, top, owner=owner)
    show(
        [_row(one) for one in found],
        as_json,
        title="Webhooks",
        columns=["id", "owner", "url", "events", "failing_since", "disabled_at", "disabled_why"],
        empty="No webhook yet: `sevenfold webhooks create URL --owner NAME --event job.completed`.",
    )


def send_test(webhook_id: WebhookId, home: Home = None, as_json: AsJson = False) -> None:
    """Send a webhook an event `webhook.test`; the API delivers it while it runs."""
    use_existing_home(home)
    from ml.lifecycle.workspace import Workspace

    with writing(Workspace.current().engine) as connection:
        webhook = repository.get(connection, webhook_id)
        if webhook.disabled_at is not None:
            raise DisabledWebhookError(
                f"webhook {webhook.id} is disabled ({webhook.disabled_why}):"
                f" `sevenfold webhooks enable {webhook.id}` first"
            )
        delivery_id = repository.publish_test(connection, webhook)
        log(connection, "webhook.test", webhook_id, {"delivery": delivery_id})
    if as_json:
        print_json({"id": delivery_id, "webhook": webhook_id})
        return
    typer.echo(delivery_id)
    note(f"Queued. `sevenfold webhooks deliveries {webhook_id}` says what came of it.")


def list_deliveries(
    webhook_id: WebhookId,
    top: Annotated[int, typer.Option("--top", min=1, help="At most so many.")] = 20,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """What was delivered to a webhook, newest first, and how the last attempt of each went."""
    use_existing_home(home)
    from ml.lifecycle.workspace import Workspace

    with reading(Workspace.current().engine) as connection:
        repository.get(connection, webhook_id)
        found = deliveries.page(connection, webhook_id, top)
    show(
        [_delivery_row(one) for one in found],
        as_json,
        title="Deliveries",
        columns=["id", "event", "state", "created_at", "tried", "status", "error", "next_at"],
        empty="Nothing was sent yet.",
    )


def replay(
    delivery_id: Annotated[
        str,
        typer.Argument(help="The delivery's id, as `sevenfold webhooks deliveries` shows it."),
    ],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Deliver again, under the same id, with all retries."""
    use_existing_home(home)
    from ml.lifecycle.workspace import Workspace

    with writing(Workspace.current().engine) as connection:
        again = deliveries.replay(connection, delivery_id, utc_now())
        log(connection, "webhook.replay", again.webhook, {"delivery": delivery_id})
    if as_json:
        print_json(_delivery_row(again))
    else:
        note(f"Delivery {delivery_id} is sent again while the API runs.")


def rotate(
    webhook_id: WebhookId,
    grace_hours: Annotated[
        float,
        typer.Option(
            "--grace-hours",
            min=0,
            max=24 * 30,
            help="How long deliveries carry the old signature too.",
        ),
    ] = 24.0,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Give a webhook a new secret, shown this once; both sign until the grace ends."""
    use_existing_home(home)
    from ml.lifecycle.workspace import Workspace

    workspace = Workspace.current()
    with writing(workspace.engine) as connection:
        seal, grace = Seal.of(workspace.settings), timedelta(hours=grace_hours)
        secret = repository.rotate(connection, seal, webhook_id, utc_now(), grace)
        log(connection, "webhook.rotate", webhook_id, {"hours": grace_hours})
        rotated = repository.get(connection, webhook_id)
    _show_once(rotated, secret, as_json)
    if rotated.old_until is not None:
        until = rotated.old_until.isoformat(sep=" ", timespec="seconds")
        note(f"The former secret signs too until {until}.")


def enable(webhook_id: WebhookId, home: Home = None, as_json: AsJson = False) -> None:
    """Send to a webhook again that was disabled, also what still waits for it."""
    use_existing_home(home)
    from ml.lifecycle.workspace import Workspace

    with writing(Workspace.current().engine) as connection:
        repository.get(connection, webhook_id)
        changed = repository.enable(connection, webhook_id)
        if changed:
            log(connection, "webhook.enable", webhook_id, {})
    if as_json:
        print_json({"id": webhook_id, "changed": changed})
    else:
        note(f"Webhook {webhook_id} {'is enabled' if changed else 'was not disabled'}.")


def delete(webhook_id: WebhookId, home: Home = None, as_json: AsJson = False) -> None:
    """Take a webhook away with its deliveries, those that wait too."""
    use_existing_home(home)
    from ml.lifecycle.workspace import Workspace

    with writing(Workspace.current().engine) as connection:
        repository.get(connection, webhook_id)
        repository.remove(connection, webhook_id)
        log(connection, "webhook.delete", webhook_id, {})
    if as_json:
        print_json({"id": webhook_id, "deleted": True})
    else:
        note(f"Webhook {webhook_id} is gone.")


def _show_once(webhook: Webhook, secret: str, as_json: bool) -> None:
    """The secret alone on standard output, so that a script can take it; the rest beside it."""
    if as_json:
        print_json(_row(webhook) | {"secret": secret})
    else:
        typer.echo(secret)
    note(f"The secret of {webhook.id}: keep it now, it is not shown again.")


def _row(webhook: Webhook) -> dict[str, Any]:
    return {
        "id": webhook.id,
        "owner": webhook.owner,
        "url": webhook.url,
        "events": list(webhook.events),
        "created_at": webhook.created_at,
        "created_by": webhook.created_by,
        "old_secret_until": webhook.old_until,
        "failing_since": webhook.failing_since,
        "disabled_at": webhook.disabled_at,
        "disabled_why": webhook.disabled_why,
    }


def _delivery_row(delivery: Delivery) -> dict[str, Any]:
    last = delivery.attempts[-1] if delivery.attempts else {"status": None, "error": None}
    return {
        "id": delivery.id,
        "webhook": delivery.webhook,
        "event": delivery.event,
        "state": delivery.state,
        "created_at": delivery.created_at,
        "tried": len(delivery.attempts),
        "status": last["status"],
        "error": last["error"],
        "next_at": delivery.next_at,
        "delivered_at": delivery.delivered_at,
        "attempts": list(delivery.attempts),
    }

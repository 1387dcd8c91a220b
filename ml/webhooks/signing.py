"""The headers of a delivery in the Standard Webhooks form."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime


def signed(secrets: Sequence[str], delivery: str, at: datetime, body: str) -> dict[str, str]:
    """Id, time and a signature under each secret; a receiver takes any that it can verify."""
    from standardwebhooks import Webhook

    signatures = [Webhook(secret).sign(delivery, at, body) for secret in secrets]
    return {
        "webhook-id": delivery,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }

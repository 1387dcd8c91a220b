"""Events are declared once, and the guide lists each as it is declared."""

from __future__ import annotations

import re

from warehouse.events import EVENTS, TEST
from warehouse.settings import PROJECT

GUIDE = (PROJECT / "docs" / "webhooks.md").read_text(encoding="utf-8")


def test_the_guide_lists_every_event_with_its_meaning_and_fields() -> None:
    rows = re.findall(r"^\| `([a-z_.]+)` \| (.*?) \| (.*?) \|$", GUIDE, re.MULTILINE)
    listed = {
        name: (meaning, tuple(re.findall(r"`(\w+)`", fields))) for name, meaning, fields in rows
    }
    assert listed == {name: (event.meaning, event.fields) for name, event in EVENTS.items()}


def test_names_are_as_the_standard_proposes_and_a_test_is_none_to_ask_for() -> None:
    for name in (*EVENTS, TEST):
        assert re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", name)
    assert TEST not in EVENTS

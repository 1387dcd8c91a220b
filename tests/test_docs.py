"""The pages that follow from the code are those that the code would write now."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from api import error_codes
from api.error_codes import CODES
from ml.models import default_registry
from orchestration.docs import PAGES
from warehouse import faults
from warehouse.contract import TABLES

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("orchestration", "assets", "ml", "warehouse", "api")


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def sources(*packages: str) -> str:
    return "\n".join(
        path.read_text(encoding="utf-8")
        for package in packages
        for path in sorted((ROOT / package).rglob("*.py"))
    )


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_up_to_date(name: str) -> None:
    assert page(name) == PAGES[name](), "run `make docs`"


def test_the_page_of_errors_is_up_to_date() -> None:
    assert page("errors.md") == error_codes.markdown(), "run `make docs`"


def test_every_code_that_the_api_can_answer_is_listed() -> None:
    text = sources("api")
    used = set(re.findall(r"Problem\(\s*\d+,\s*\"(\w+)\"", text))
    assert len(used) >= 8
    assert used <= set(CODES)


def test_every_variable_that_the_code_names_is_documented() -> None:
    named = set(re.findall(r"SEVENFOLD_[A-Z_]+[A-Z]", sources(*PACKAGES)))
    undocumented = {name for name in named if f"`{name}`" not in page("settings.md")}
    assert undocumented == {faults.VARIABLE}


def test_every_column_of_the_contract_is_documented() -> None:
    sections = page("input-contract.md").split("\n## ")
    by_name = {section.split("\n", 1)[0]: section for section in sections}
    for table in TABLES.values():
        for column in table.columns:
            assert f"| {column.name} |" in by_name[table.name], f"{table.name}.{column.name}"


def test_every_column_of_every_scored_table_is_documented() -> None:
    sections = {one.split("\n", 1)[0]: one for one in page("columns.md").split("\n## ")}
    for spec in default_registry().values():
        for column in spec.Decision.model_fields:
            assert f"| {column} |" in sections[spec.scores_table]
        assert (ROOT / "docs" / "models" / f"{spec.name}.md").exists()


def test_no_page_names_a_path_of_one_machine() -> None:
    for path in (ROOT / "docs").rglob("*.md"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(?<![\w.])/(work|root|home|tmp)/", text), path

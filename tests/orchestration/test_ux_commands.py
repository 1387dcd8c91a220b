"""What the commands print to a newcomer: refusals, tables and figures in plain words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ml.evaluation.result import Result
from ml.lifecycle.workspace import Workspace
from ml.models import MODELS, ModelSpec, default_registry
from orchestration import cli
from orchestration.commands.results import _order, _reason
from orchestration.pipeline import run_pipeline
from orchestration.resources import prepare_dagster_home
from tests.lifecycle.conftest import Life
from tests.models.eighth import EIGHTH
from tests.small_firm import LAST
from warehouse.database import writing
from warehouse.repositories import models, verdicts

Said = tuple[int, str, str]
Runs = Callable[..., Said]


@pytest.fixture
def sevenfold(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Runs]:
    """Run the command as a shell would: exit status, standard output, standard error."""
    monkeypatch.delenv("COLUMNS", raising=False)
    current = Workspace.current.__func__  # type: ignore[attr-defined]
    current.cache_clear()

    def run(*words: str) -> Said:
        monkeypatch.setenv("SEVENFOLD_HOME", str(tmp_path / "restored"))
        monkeypatch.setattr("sys.argv", ["sevenfold", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        status = ended.value.code
        return status if isinstance(status, int) else 0, said.out, said.err

    yield run
    if current.cache_info().currsize:
        Workspace.current().engine.dispose()
        current.cache_clear()


@pytest.fixture
def home(life: Life) -> str:
    """A home whose churn candidate failed its gate, and whose lines failed a rule."""
    workspace = life.ingested(registry=default_registry())
    snapshot = workspace.data_version().snapshot
    failed = "auc 0.6 is not better than recency alone (0.7)"
    gate = {"passed": False, "reasons": [failed, "ece 0.01"], "failed": [failed]}
    broken = verdicts.FailedRule("few_rows", "warn", 3.0, "3 rows only", 5.0, ({"row": 1},))
    with writing(workspace.engine) as connection:
        models.register(connection, _version("churn-1", gate))
        verdicts.add(connection, verdicts.Verdict("invoice_lines", snapshot, "warn", [broken]))
    return str(life.firm.settings.home)


def _version(name: str, gate: dict[str, object]) -> models.ModelVersion:
    return models.ModelVersion(
        version=name,
        model="churn",
        trained_at=datetime(2025, 6, 30, tzinfo=UTC),
        trained_as_of=LAST,
        known_through=LAST,
        data_version="000001",
        estimator="e",
        metrics={"auc": 0.6},
        baseline={"auc": 0.7},
        gate=gate,
        feature_schema_hash="h",
        artifact=f"churn/{name}",
        manifest_sha256="s",
        card="card.md",
        status="rejected",
    )


@pytest.mark.parametrize(
    "words",
    [
        ("show", "churn"),
        ("sql", "SELECT 1"),
        ("models", "list"),
        ("report",),
        ("quality", "show"),
        ("replay", "churn", "x", "--as-of", "2025-06-30"),
    ],
)
def test_a_mistyped_home_is_refused_and_not_made(
    words: tuple[str, ...], sevenfold: Runs, tmp_path: Path
) -> None:
    mistyped = tmp_path / "hoem"
    status, out, error = sevenfold(*words, "--home", str(mistyped))
    assert status == 1
    assert not out
    assert f"There is no Sevenfold home at {mistyped}: `sevenfold run --home" in error
    assert not mistyped.exists()


def test_doctor_looks_at_the_machine_and_says_that_the_home_is_missing(
    sevenfold: Runs, tmp_path: Path
) -> None:
    _, out, _ = sevenfold("doctor", "--json", "--home", str(tmp_path / "hoem"))
    states = {one["what"]: one["state"] for one in json.loads(out)}
    assert states["home"] == "missing"
    assert "libgomp" in states
    assert not (tmp_path / "hoem").exists()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("TIMEZONE", "Mars", "SEVENFOLD_TIMEZONE: unknown time zone 'Mars': use an IANA name"),
        ("SAVE_RATE", "3", "SEVENFOLD_SAVE_RATE is '3': Input should be less than or equal to 1"),
    ],
)
def test_a_bad_setting_is_one_sentence_that_names_the_variable(
    name: str,
    value: str,
    told: str,
    sevenfold: Runs,
    monkeypatch: pytest.MonkeyPatch,
    home: str,
) -> None:
    monkeypatch.setenv(f"SEVENFOLD_{name}", value)
    status, _, error = sevenfold("models", "list", "--home", home)
    assert status == 1
    assert told in error
    assert "Traceback" not in error
    assert len(error.splitlines()) == 1


def test_show_without_a_champion_says_why_the_model_is_silent(sevenfold: Runs, home: str) -> None:
    status, _, error = sevenfold("show", "churn", "--home", home)
    assert status == 1
    assert error.strip() == (
        "churn-1 did not pass the gate: auc 0.6 is not better than recency alone (0.7)."
    )


def test_each_row_of_a_table_is_one_line_where_no_terminal_looks(
    sevenfold: Runs, home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, out, _ = sevenfold("models", "list", "--home", home)
    [line] = [line for line in out.splitlines() if "not better than naive" in line]
    assert "churn-1 did not pass the gate" in line
    monkeypatch.setenv("COLUMNS", "90")
    _, out, _ = sevenfold("models", "list", "--home", home)
    assert max(map(len, out.splitlines())) <= 90


def test_quality_show_names_each_failed_rule_with_figure_limit_and_examples(
    sevenfold: Runs, home: str
) -> None:
    _, out, _ = sevenfold("quality", "show", "invoice_lines", "--json", "--home", home)
    assert json.loads(out)[0]["failed_rules"] == [
        {
            "rule": "few_rows",
            "severity": "warn",
            "figure": 3.0,
            "message": "3 rows only",
            "limit": 5.0,
            "examples": [{"row": 1}],
            "accepted": False,
        }
    ]
    _, out, _ = sevenfold("quality", "show", "--home", home)
    assert "few_rows: 3 rows only" in out


def test_the_reigning_version_reads_champion(sevenfold: Runs, life: Life, home: str) -> None:
    with writing(life.on(registry=default_registry()).engine) as connection:
        models.promote(connection, "churn", "churn-1", "by hand", "me")
    _, out, _ = sevenfold("models", "show", "churn", "--json", "--home", home)
    assert [one["status"] for one in json.loads(out)["versions"]] == ["champion"]


def test_an_evaluation_that_measured_nothing_reads_skipped(
    sevenfold: Runs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SEVENFOLD_EXAMPLE_DATA", str(tmp_path))
    monkeypatch.setattr(
        "ml.evaluation.run", lambda *_: [Result.skip("churn", "online-retail is absent")]
    )
    status, out, _ = sevenfold("evaluate", "--models", "churn", "--json")
    assert status == 0
    assert json.loads(out)[0]["holds"] == "skipped"
    assert json.loads(out)[0]["protocol"] == "skipped: online-retail is absent"


def test_a_reason_shows_value_and_direction_and_a_sentence_stands_alone() -> None:
    moved = {"feature": "recency_in_gaps", "value": 20.38, "contribution": 1.2}
    assert _reason(moved) == "recency_in_gaps 20.38 (+)"
    assert _reason(moved | {"value": None, "contribution": -1}) == "recency_in_gaps missing (-)"
    assert _reason({"feature": "1 % more costs 2 %", "value": -2.0, "contribution": 0.0}) == (
        "1 % more costs 2 %"
    )


def test_the_title_says_how_decisions_are_sorted() -> None:
    registry = default_registry()
    assert _order(registry["profitability"]) == "Sorted by margin low (lowest first)."
    assert _order(registry["demand"]) == "Sorted by target date, series id."
    assert _order(registry["anomaly"]) == ("Sorted by is alert (yes first), score (highest first).")


def test_what_is_missing_leaves_out_a_way_that_contains_another() -> None:
    assert len(MODELS) == 7
    budget: ModelSpec = default_registry()["budget"]
    assert budget.lacking({"invoice_lines"}) == (
        "Budget is not available: the source lacks channel_spend."
    )
    assert budget.lacking({"channel_spend"}) == (
        "Budget is not available: the source lacks invoice_lines or series."
    )


def test_train_trains_now_what_is_not_due(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DAGSTER_HOME", "SEVENFOLD_HOME", "DAGSTER_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "1")
    life.firm.export()
    workspace = life.on()
    prepare_dagster_home(workspace.settings)

    def trained(train: bool) -> bool:
        [step] = run_pipeline(workspace, [EIGHTH], LAST, lambda _: None, train)
        assert step.problem is None
        return step.trained

    assert [trained(False), trained(False), trained(True)] == [True, False, True]

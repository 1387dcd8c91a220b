"""The commands of the guides work as they stand there, on a real home and a running API."""

from __future__ import annotations

import base64
import dataclasses
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest
from standardwebhooks import Webhook

from api.main import create_app
from ml.jobs.bulk import run_bulk
from ml.jobs.lease import LEASE
from ml.lifecycle.scoring import score
from ml.lifecycle.training import promote_if_passed, train
from ml.lifecycle.workspace import Workspace
from ml.settings import MlSettings
from ml.webhooks.settings import WebhookSettings
from orchestration import cli
from tests.api.conftest import UNLIMITED, key_maker
from tests.http_server import serving
from tests.orchestration.guide import Shell, blocks, commands, stray
from tests.receiver import receiving
from tests.small_firm import morning_after
from warehouse.cron import firings
from warehouse.database import utc_now, writing
from warehouse.repositories import job_leases, models
from warehouse.settings import PROJECT, WarehouseSettings

DAY = date(2026, 6, 30)
GUIDES = ("bulk-files", "schedules", "retraining", "webhooks")


def guide(name: str) -> str:
    return (PROJECT / "docs" / f"{name}.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A sample firm with a champion of churn and a scored day; promoted by hand, being so small."""
    settings = WarehouseSettings(
        home=tmp_path_factory.mktemp("guides"), source=f"sample:clients=60,seed=11,end={DAY}"
    )
    ml = MlSettings(training_months=4, reasons="none")
    opened = Workspace.open(settings, ml, clock=morning_after(DAY))
    opened.ingest("ingest")
    churn = opened.registry["churn"]
    trained = train(opened, churn, "train")
    with writing(opened.engine) as connection:
        models.promote(connection, churn.name, trained.version, "for the tests", "test")
    score(opened, churn, [DAY], "score")
    yield opened
    opened.engine.dispose()


@pytest.fixture(scope="module")
def api(workspace: Workspace) -> Iterator[httpx.Client]:
    """A running API that may call receivers on this machine."""
    inside = WebhookSettings(webhook_allowed_networks=["127.0.0.1/32"])
    with serving(create_app(workspace, UNLIMITED, inside)) as client:
        yield client


@pytest.fixture
def shell(
    workspace: Workspace,
    api: httpx.Client,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Iterator[Shell]:
    """A shell on the machine of that home, where API and Dagster run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEVENFOLD_HOME", str(workspace.settings.home))
    monkeypatch.setenv("SEVENFOLD_WEBHOOK_ALLOWED_NETWORKS", "127.0.0.1/32")
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(Workspace, "current", staticmethod(lambda: workspace))

    def sevenfold(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["sevenfold", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        status = ended.value.code
        return status if isinstance(status, int) else 0, said.out, said.err

    # One owner for both ways, as whoever reads the guide may be.
    variables = {"KEY": key_maker(workspace)("admin", owner="local")}
    with receiving() as receiver:
        instead = {"https://hooks.example.com/sevenfold": receiver.url()}
        yield Shell(sevenfold, api, variables, instead)


def do_what_waits(workspace: Workspace) -> None:
    """What Dagster's runs do meanwhile, as ``orchestration/job_runs.py`` reports it."""
    with writing(workspace.engine) as connection:
        kinds = ("bulk", "score", "train")
        waiting = [
            job for kind in kinds for job in job_leases.claim(connection, kind, utc_now(), LEASE)
        ]
    for job in waiting:
        if job.kind == "bulk":
            run_bulk(workspace, job.id, job.attempt, "run")
            continue
        with writing(workspace.engine) as connection:
            job_leases.start(connection, job.id, job.attempt, "run", utc_now(), LEASE)
        spec = workspace.registry[job.model]
        result = {}
        if job.kind == "score":
            score(workspace, spec, [DAY], "run")
        else:
            # Other months make another version, as later data would.
            ml, clock = MlSettings(training_months=5), morning_after(DAY + timedelta(days=1))
            later = dataclasses.replace(workspace, ml=ml, clock=clock)
            candidate = train(later, spec, "run").version
            done = promote_if_passed(later, spec, "run")
            result = {"candidate": candidate, "promoted": done.promoted}
        with writing(workspace.engine) as connection:
            job_leases.finish(
                connection, job.id, job.attempt, "completed", utc_now(), None, result or None
            )


@pytest.mark.parametrize("name", GUIDES)
def test_every_command_of_a_guide_works(name: str, shell: Shell, workspace: Workspace) -> None:
    text = guide(name)
    for content in blocks(text, "csv"):
        Path("clients.csv").write_text(content, encoding="utf-8")
    found = commands(text)
    assert {words[0] for words in found} >= {".venv/bin/sevenfold", "curl"}
    for words in found:
        shell.run(words)
        do_what_waits(workspace)


@pytest.mark.parametrize("name", GUIDES)
def test_a_guide_marks_all_its_commands_as_such(name: str) -> None:
    assert stray(guide(name)) == []


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (".venv/bin/sevenfold schedules shew sch_1", "No such command"),
        (".venv/bin/sevenfold schedules show sch_1", "there is no schedule"),
        (".venv/bin/sevenfold schedules show sch_…", "no command before printed"),
        (".venv/bin/sevenfold retrain policy churn --max-age 3", "No such option"),
        ("sevenfold schedules list", "no program sevenfold"),
        (".venv/bin/sevenfold schedules list | head", "know no pipes"),
        (".venv/bin/sevenfold models show …", "nothing says what"),
        ('curl -s localhost:8000/api/schedule -H "Authorization: Bearer $KEY"', "404"),
        ('curl -s -X PUT localhost:8000/api/schedules -H "Authorization: Bearer $KEY"', "405"),
        ("curl -s localhost:8000/api/schedules", "401"),
        ('curl -L localhost:8000/api/schedules -H "Authorization: Bearer $KEY"', "option -L"),
        (
            'curl -s localhost:8000/api/admin/retrain -H "Authorization: Bearer $KEY" \\\n'
            '  -H "Content-Type: application/json" -d \'{"model": "churn", "why": "x"}\'',
            "422",
        ),
        ("curl -s localhost:9000/api/schedules", "not on localhost:8000"),
    ],
)
def test_a_wrong_command_would_be_found(shell: Shell, block: str, said: str) -> None:
    [words] = commands(f"```bash\n{block}\n```\n")
    with pytest.raises(AssertionError, match=re.escape(said)):
        shell.run(words)


def test_the_times_of_the_guide_are_those_of_the_clock() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \|$", guide("schedules"), re.MULTILINE)
    rows = [row for row in rows if "+02:00" in row[1]]
    assert len(rows) == 3
    for cron, *told in rows:
        for day, said in zip((date(2026, 3, 29), date(2026, 10, 25)), told, strict=True):
            start = datetime(day.year, day.month, day.day, tzinfo=berlin).astimezone(UTC)
            times = firings(cron, "Europe/Berlin", start - timedelta(seconds=1))
            local = (time.astimezone(berlin) for time in times)
            that_day = takewhile(lambda time, day=day: time.date() == day, local)
            found = [f"{time:%R}{time.isoformat()[-6:]}" for time in that_day]
            listed = said.strip().split(", ")
            if listed[-1] == "…":
                assert found[: len(listed) - 1] == listed[:-1]
            else:
                assert found == listed


def test_the_receiver_of_the_guide_takes_what_is_signed_and_nothing_else(tmp_path: Path) -> None:
    [code] = blocks(guide("webhooks"), "python")
    path = tmp_path / "receiver.py"
    path.write_text(code, encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    secret = f"whsec_{base64.b64encode(bytes(range(32))).decode()}"
    environment = {**os.environ, "PORT": str(port), "SECRET": secret}
    body = '{"type": "job.completed", "timestamp": "2026-07-01T08:00:00Z", "data": {"id": "job_1"}}'
    now = datetime.now(UTC)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign("msg_1", now, body),
    }
    with subprocess.Popen(
        [sys.executable, str(path)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(port)
            assert httpx.post(url, content=body, headers=headers).status_code == 204
            assert httpx.post(url, content=body + " ", headers=headers).status_code == 400
            assert process.stdout is not None
            assert process.stdout.readline() == "msg_1 job.completed {'id': 'job_1'}\n"
        finally:
            process.terminate()


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)

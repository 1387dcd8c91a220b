"""Lake and artifacts on S3, spoken to a real server: a model's life, kills, damage, conflicts."""

from __future__ import annotations

import datetime as dt
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from ml.artifacts import DRAFT, ArtifactStore, DamagedArtifactError
from ml.lifecycle.purging import purge
from ml.lifecycle.replay import replay
from ml.lifecycle.scoring import score
from ml.lifecycle.training import promote_if_passed, train
from ml.lifecycle.workspace import Workspace
from tests.models.eighth import EIGHTH
from tests.s3_server import BUCKET, ROOT, S3, holding, serving_s3
from tests.small_firm import LAST, Firm, lines, write_csv
from warehouse.database import reading
from warehouse.lake import Lake, LakeError
from warehouse.objects import Objects, StoreError
from warehouse.repositories import scores

BEFORE = dt.date(2025, 5, 31)
NOTE = {"sevenfold.run_id": "tests"}


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """One server for this file's tests; each works below a prefix of its own."""
    with pytest.MonkeyPatch.context() as patch, serving_s3(tmp_path_factory.mktemp("s3")) as server:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield server


@pytest.fixture
def store(s3: S3) -> str:
    """The URI of an empty prefix."""
    return f"s3://{BUCKET}/{uuid4().hex}"


def save(folder: Path) -> None:
    """What a training might leave behind."""
    (folder / "fitted").mkdir()
    (folder / "fitted" / "weights.json").write_text("[1, 2]")
    (folder / "table.csv.gz").write_bytes(b"not really compressed")
    (folder / "card.md").write_text("A card.")


def overwrite(objects: Objects, path: str, text: str, folder: Path) -> None:
    """Change an object behind everyone's back."""
    (folder / "changed").write_text(text)
    objects.upload(folder / "changed", path)


def life(workspace: Workspace, day: dt.date) -> dict[str, Any]:
    """Ingest, train, promote, score and replay; what a reader sees then."""
    workspace.ingest(f"ingest-{day}")
    train(workspace, EIGHTH, "train")
    champion = promote_if_passed(workspace, EIGHTH, "tests").champion
    score(workspace, EIGHTH, [day], "score")
    again = replay(workspace, EIGHTH, "c07", day, {})
    assert again.equal, again.sentence()
    held = workspace.snapshot().read("invoice_lines", ["line_id", "unit_price"]).to_pylist()
    with reading(workspace.engine) as connection:
        decided = scores.between(connection, EIGHTH, day, day).to_pylist()
    return {
        "champion": champion,
        "lines": sorted((row["line_id"], row["unit_price"]) for row in held),
        "decided": [(row["buyer_id"], row["expected_revenue"]) for row in decided],
    }


def test_a_models_life_on_s3_ends_as_it_does_in_a_folder(store: str, tmp_path: Path) -> None:
    seen = {}
    for place, root in {"folder": "", "s3": store}.items():
        firm = Firm(tmp_path / place, store=root)
        firm.export(BEFORE)
        workspaces = [firm.on(BEFORE)]
        first = life(workspaces[0], BEFORE)
        changed = [row | {"quantity": 2} if row["line_id"][:3] == "c07" else row for row in lines()]
        write_csv(firm.export_folder, "invoice_lines", changed[1:])
        workspaces.append(firm.on(LAST))
        second = life(workspaces[1], LAST)
        purge(workspaces[1])
        for day in (BEFORE, LAST):
            assert replay(workspaces[1], EIGHTH, "c07", day, {}).equal
        seen[place] = first, second
        for workspace in workspaces:
            workspace.engine.dispose()
    assert seen["s3"] == seen["folder"]
    assert len(seen["s3"][1]["lines"]) > len(seen["s3"][0]["lines"])
    assert not (tmp_path / "s3" / "home" / "lake").exists()
    assert not (tmp_path / "s3" / "home" / "models").exists()
    there = Objects(store).files()
    assert any(path.startswith("lake/raw/invoice_lines/_delta_log/") for path in there)
    assert sum(path.endswith("/manifest.json") for path in there) == 2


def test_another_machine_reads_the_same_artifact_and_nothing_is_compressed_twice(
    store: str, tmp_path: Path
) -> None:
    here, there = (ArtifactStore(store, tmp_path / name) for name in ("here", "there"))
    written = here.write("m", LAST, save, {"known_through": "2025-06-30"})
    read = there.open("m", written.version)
    assert read.manifest == written.manifest
    assert read.folder != written.folder
    assert (read.folder / "table.csv.gz").read_bytes() == b"not really compressed"
    assert (read.fitted_folder / "weights.json").read_text() == "[1, 2]"


def test_a_version_that_is_there_is_not_written_again(store: str, tmp_path: Path) -> None:
    artifacts = ArtifactStore(store, tmp_path)
    artifacts.write("m", LAST, save, {})
    before = Objects(store).files()
    artifacts.write("m", LAST, save, {})
    assert Objects(store).files() == before


def test_a_damaged_object_is_refused_by_its_sum_until_it_is_written_again(
    store: str, tmp_path: Path
) -> None:
    version = ArtifactStore(store, tmp_path / "here").write("m", LAST, save, {}).version
    path = f"m/{version}/fitted/weights.json"
    overwrite(Objects(store), path, "[3, 4]", tmp_path)
    elsewhere = ArtifactStore(store, tmp_path / "there")
    with pytest.raises(DamagedArtifactError, match=rf"^{path} is not the file"):
        elsewhere.open("m", version)
    Objects(store).remove(path)
    with pytest.raises(DamagedArtifactError, match=rf"^{path} is missing"):
        elsewhere.open("m", version)
    overwrite(Objects(store), f"m/{version}/manifest.json", "{", tmp_path)
    with pytest.raises(DamagedArtifactError, match=r"manifest\.json cannot be read"):
        elsewhere.open("m", version)
    assert not list((tmp_path / "there" / "m").iterdir())
    assert elsewhere.write("m", LAST, save, {}).version == version


def test_a_damaged_copy_is_brought_anew(store: str, tmp_path: Path) -> None:
    artifacts = ArtifactStore(store, tmp_path)
    written = artifacts.write("m", LAST, save, {})
    (written.folder / "card.md").write_text("Another card.")
    assert (artifacts.open("m", written.version).folder / "card.md").read_text() == "A card."


def test_a_copy_is_never_older_than_the_object(store: str, tmp_path: Path) -> None:
    here, there = (ArtifactStore(store, tmp_path / name) for name in ("here", "there"))
    version = here.write("m", LAST, save, {"judged_on": "May"}).version
    assert there.open("m", version).manifest["judged_on"] == "May"
    Objects(store).remove(f"m/{version}/manifest.json")
    here.write("m", LAST, save, {"judged_on": "June"})
    assert there.open("m", version).manifest["judged_on"] == "June"


def test_a_killed_upload_leaves_no_version_and_the_next_training_writes_it(
    s3: S3, store: str, tmp_path: Path
) -> None:
    firm = Firm(tmp_path, store=store)
    firm.export(LAST)
    workspace = firm.on()
    workspace.ingest("ingest")
    code = (
        "import sys; from pathlib import Path; from ml.lifecycle.training import train;"
        "from tests.models.eighth import EIGHTH; from tests.small_firm import Firm;"
        "train(Firm(Path(sys.argv[1]), store=sys.argv[2]).on(), EIGHTH, 'killed')"
    )
    command = [sys.executable, "-c", code, str(tmp_path), store]
    with holding(s3, "/manifest.json"), subprocess.Popen(command, cwd=ROOT) as running:
        while not (s3.folder / "held").exists():
            assert running.poll() is None, "the training did not get to its manifest"
            time.sleep(0.01)
        running.kill()
        assert running.wait() == -signal.SIGKILL
    models = Objects(workspace.artifacts.root)
    [version] = {path.split("/")[1] for path in models.files()}
    with pytest.raises(DamagedArtifactError, match=rf"holds no \S*{version}"):
        workspace.artifacts.open(EIGHTH.name, version)
    assert train(workspace, EIGHTH, "again").version == version
    workspace.artifacts.open(EIGHTH.name, version)
    workspace.engine.dispose()


def test_a_purge_removes_uploads_without_a_manifest_but_none_of_today(
    store: str, tmp_path: Path
) -> None:
    artifacts = ArtifactStore(store, tmp_path)
    whole = artifacts.write("m", LAST, save, {}).version
    (tmp_path / "m" / f"{DRAFT}left").mkdir()
    objects = Objects(store)
    overwrite(objects, "m/half/fitted/weights.json", "[", tmp_path)
    overwrite(objects, "note.txt", "not ours", tmp_path)
    now = dt.datetime.now(dt.UTC)
    assert artifacts.remove_drafts(now - dt.timedelta(days=1)) == 0
    assert artifacts.remove_drafts(now + dt.timedelta(days=1)) == 2
    assert {path.split("/")[1] for path in objects.files() if "/" in path} == {whole}
    assert "note.txt" in objects.files()
    assert artifacts.open("m", whole).version == whole


def test_commits_at_once_all_arrive_and_each_version_is_written_under_a_condition(
    s3: S3, store: str
) -> None:
    lake = Lake(store)
    lake.append("raw/x", pa.table({"a": [0]}), note=NOTE)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: lake.append("raw/x", pa.table({"a": [n]}), note=NOTE), range(1, 9)))
    head = lake.version("raw/x")
    assert head == 8
    assert sorted(lake.read("raw/x", head)["a"].to_pylist()) == list(range(9))
    conditions = (s3.folder / "conditions").read_text()
    log = f"{store.removeprefix('s3:/')}/raw/x/_delta_log"
    for version in range(9):
        assert f"PUT * {log}/{version:020d}.json\n" in conditions


def test_a_commit_that_contradicts_another_is_refused_and_not_lost(store: str) -> None:
    lake = Lake(store)
    lake.append("raw/x", pa.table({"a": [1, 2, 3]}), note=NOTE)
    one, other = (DeltaTable(lake.uri("raw/x")) for _ in range(2))
    one.update({"a": "10"}, predicate="a = 1")
    with pytest.raises(CommitFailedError, match="concurrent transaction"):
        other.update({"a": "20"}, predicate="a = 1")
    assert sorted(lake.read("raw/x", 1)["a"].to_pylist()) == [2, 3, 10]
    assert lake.version("raw/x") == 1


def test_tables_and_partitions_are_read_by_version(store: str) -> None:
    lake = Lake(store)
    assert lake.version("features/x") is None
    with pytest.raises(LakeError, match=rf"no table 'features/x' under {store}"):
        lake.columns("features/x", 0)
    for amount in (1, 2):
        rows = pa.table({"day": ["a", "b"], "amount": [amount, amount]})
        for day in ("a", "b"):
            part = rows.filter(pa.compute.equal(rows["day"], day))
            lake.replace_partition("features/x", part, "day", day, note=NOTE)
    assert lake.rows("features/x", 3) == 2
    assert lake.read("features/x", 1, ["amount"])["amount"].to_pylist() == [1, 1]
    assert lake.restore("features/x", 1) == 4
    assert lake.read("features/x", 4, ["amount"])["amount"].to_pylist() == [1, 1]
    with pytest.raises(LakeError, match=r"'features/x' cannot be read at version 9"):
        lake.rows("features/x", 9)


def test_a_bucket_that_is_not_there_is_named(s3: S3, tmp_path: Path) -> None:
    artifacts = ArtifactStore("s3://elsewhere/models", tmp_path)
    with pytest.raises(StoreError, match=r"s3://elsewhere/models/m/\S+: the store does not answer"):
        artifacts.write("m", LAST, save, {})
    with pytest.raises(StoreError, match=r"there is no bucket 'elsewhere'"):
        Objects("s3://elsewhere/models").require()
    Objects(f"s3://{BUCKET}/nothing/yet").require()
    with pytest.raises(LakeError, match=r"s3://elsewhere/raw/x cannot be written"):
        Lake("s3://elsewhere").append("raw/x", pa.table({"a": [1]}), note=NOTE)

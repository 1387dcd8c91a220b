"""Files of jobs in a folder and on a real S3 server: whole or not there, found and removed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from tests.s3_server import BUCKET, S3, serving_s3
from warehouse.database import utc_now
from warehouse.job_files import INPUT, JobFiles
from warehouse.objects import StoreError


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with pytest.MonkeyPatch.context() as patch, serving_s3(tmp_path_factory.mktemp("s3")) as server:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield server


@pytest.fixture(params=["folder", "s3"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> JobFiles:
    root = str(tmp_path / "jobs")
    if request.param == "s3":
        request.getfixturevalue("s3")
        root = f"s3://{BUCKET}/{uuid4().hex}"
    return JobFiles(root, tmp_path / "work")


def keep(files: JobFiles, job: str, name: str, content: bytes) -> None:
    with files.draft() as draft:
        draft.write_bytes(content)
        files.keep(draft, job, name)


def test_what_is_kept_can_be_opened_found_and_removed(files: JobFiles) -> None:
    before = utc_now() - timedelta(seconds=2)
    assert files.jobs() == {}
    keep(files, "job_1", INPUT, b"one")
    keep(files, "job_1", INPUT, b"one again")
    keep(files, "job_1", "000000.parquet", b"a part")
    keep(files, "job_2", INPUT, b"two")
    with files.local("job_1", INPUT) as path:
        assert path.read_bytes() == b"one again"
    there = files.jobs()
    assert there.keys() == {"job_1", "job_2"}
    assert all(before <= written <= utc_now() + timedelta(seconds=2) for written in there.values())
    files.remove("job_1")
    files.remove("job_1")
    assert files.jobs().keys() == {"job_2"}
    with pytest.raises(StoreError, match="no such file"), files.local("job_1", INPUT):
        pass


def test_a_draft_is_no_job_and_goes_when_it_is_old(files: JobFiles) -> None:
    keep(files, "job_1", INPUT, b"one")
    with files.draft() as draft:
        draft.write_bytes(b"half")
        assert files.jobs().keys() == {"job_1"}
        assert files.remove_drafts(utc_now() - timedelta(days=1)) == 0
        assert draft.exists()
        assert files.remove_drafts(utc_now() + timedelta(days=1)) == 1
        assert not draft.exists()

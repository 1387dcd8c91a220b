"""Settings of data at rest: defaults that follow one another, and what is refused by name."""

import base64
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from warehouse.settings import WarehouseSettings, mask_url, secret_keys

KEY = base64.b64encode(bytes(range(32))).decode()


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in WarehouseSettings.model_fields:
        monkeypatch.delenv(f"SEVENFOLD_{name.upper()}", raising=False)
    monkeypatch.chdir(tmp_path)


def test_warehouse_and_store_follow_the_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SEVENFOLD_HOME", "state")

    settings = WarehouseSettings()

    assert settings.home == tmp_path / "state"
    assert settings.warehouse_url == f"sqlite:///{tmp_path}/state/warehouse.db"
    assert settings.lake == f"{tmp_path}/state/lake"
    assert settings.models == f"{tmp_path}/state/models"


def test_an_object_store_is_kept_as_the_uri_it_is() -> None:
    settings = WarehouseSettings(store="s3://bucket/firm/")

    assert settings.lake == "s3://bucket/firm/lake"
    assert settings.models == "s3://bucket/firm/models"


@pytest.mark.parametrize(
    "store",
    [
        "s3a://bucket/a",
        "s3:/bucket/a",
        "s3://",
        "s3:///a",
        "s3://bucket?key=abc",
        "s3://k:s@bucket",
    ],
)
def test_a_store_that_would_end_up_elsewhere_is_refused(store: str) -> None:
    with pytest.raises(ValidationError, match="as in s3://bucket/prefix"):
        WarehouseSettings(store=store)


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEVENFOLD_START_DATE", "")

    assert WarehouseSettings().start_date is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"timezone": "Mars/Olympus"}, "unknown time zone 'Mars/Olympus'"),
        ({"timezone": "../etc/passwd"}, "unknown time zone"),
        ({"currency": "euro"}, "currency"),
        ({"quarantine_warn_share": 0.2}, "above quarantine_fail_share"),
        ({"retention_days": 0}, "retention_days"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        WarehouseSettings.model_validate(given)


def test_production_refuses_unsafe_defaults_by_name() -> None:
    with pytest.raises(ValidationError) as refused:
        WarehouseSettings(env="production")

    assert "SEVENFOLD_WAREHOUSE_URL is not set" in str(refused.value)
    assert "SEVENFOLD_SOURCE is not set" in str(refused.value)
    assert "SEVENFOLD_SECRET_KEY is not set" in str(refused.value)


def test_production_takes_what_was_chosen() -> None:
    settings = WarehouseSettings(
        env="production",
        source="folder:/data",
        warehouse_url="postgresql://db/firm",
        secret_key=SecretStr(KEY),
    )

    assert settings.warehouse_url == "postgresql://db/firm"


@pytest.mark.parametrize("key", ["hunter2", "hunter2" * 9, KEY[:-8], f"{KEY},hunter2", f"{KEY},"])
def test_a_key_of_another_form_is_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("SEVENFOLD_SECRET_KEY", key)
    with pytest.raises(ValidationError, match="is not 32 bytes in base64") as refused:
        WarehouseSettings()

    assert key not in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_key_is_taken_in_either_alphabet_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = bytes(range(224, 256))
    spelled = {
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode(),
        base64.b64encode(raw).decode().rstrip("="),
    }
    assert len(spelled) == 3
    for text in spelled:
        assert secret_keys(f"{KEY} , {text}") == [base64.b64decode(KEY), raw]
        monkeypatch.setenv("SEVENFOLD_SECRET_KEY", text)
        settings = WarehouseSettings()
        assert text not in f"{settings!r} {settings.masked()}"
        assert settings.masked()["secret_key"] == "**********"


def test_secrets_are_masked_wherever_a_url_may_hold_one() -> None:
    settings = WarehouseSettings(
        warehouse_url="postgresql://me:hunter2@db/firm",
        source="mysql://me:hunter2@erp/billing",
    )

    assert "hunter2" not in str(settings.masked())
    assert settings.masked()["warehouse_url"] == "postgresql://me:***@db/firm"


def test_text_that_is_no_url_is_printed_as_it_is() -> None:
    assert mask_url("sample:clients=10,seed=1") == "sample:clients=10,seed=1"


def test_every_setting_says_what_it_is() -> None:
    silent = [n for n, f in WarehouseSettings.model_fields.items() if not f.description]

    assert silent == []

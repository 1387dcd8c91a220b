"""Secrets at rest: opened by whoever has the key, bound to their place, or said to be damaged."""

from __future__ import annotations

import base64
import multiprocessing
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from warehouse.sealing import FILE, Seal, UnreadableSecretError
from warehouse.settings import WarehouseSettings

OLD, NEW = bytes(range(32)), bytes(range(32, 64))


def seal(*keys: bytes) -> Seal:
    return Seal(lambda: keys)


@given(st.text(), st.text(st.characters(codec="utf-8"), max_size=40))
def test_what_is_sealed_opens_where_it_belongs_and_nowhere_else(text: str, place: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    sealed = seal(NEW).seal(text, place)
    assert seal(NEW).open(sealed, place) == text
    with pytest.raises(UnreadableSecretError, match="damaged"):
        seal(NEW).open(sealed, place + "!")


def test_a_sealed_text_says_nothing_and_is_another_each_time() -> None:
    one, two = (seal(NEW).seal("whsec_abc", "wh_1") for _ in range(2))
    assert one != two
    assert "whsec" not in one
    assert b"whsec" not in base64.b64decode(one.partition(":")[2])


def test_a_former_key_opens_what_it_sealed_and_the_first_one_seals() -> None:
    sealed = seal(OLD).seal("x", "wh_1")
    both = seal(NEW, OLD)
    assert both.open(sealed, "wh_1") == "x"
    again = both.seal("y", "wh_1")
    assert seal(NEW).open(again, "wh_1") == "y"
    with pytest.raises(UnreadableSecretError, match="another key than SEVENFOLD_SECRET_KEY"):
        seal(NEW).open(sealed, "wh_1")


@pytest.mark.parametrize("harm", ["", "x", "no colon", ":", "{name}:", "{name}:!!", "{name}:AAAA"])
def test_a_damaged_secret_is_said_to_be_so(harm: str) -> None:
    name = seal(NEW).seal("x", "wh_1").partition(":")[0]
    with pytest.raises(UnreadableSecretError, match="wh_1"):
        seal(NEW).open(harm.format(name=name), "wh_1")


@given(st.data())
def test_no_changed_byte_goes_unnoticed(data: st.DataObject) -> None:
    name, _, text = seal(NEW).seal("whsec_abc", "wh_1").partition(":")
    raw = bytearray(base64.b64decode(text))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(UnreadableSecretError):
        seal(NEW).open(f"{name}:{base64.b64encode(raw).decode()}", "wh_1")


def test_a_home_without_a_key_makes_its_own_when_first_needed(tmp_path: Path) -> None:
    settings = WarehouseSettings(home=tmp_path / "home")
    kept = settings.home / FILE
    made = Seal.of(settings)
    assert not kept.exists()
    sealed = made.seal("x", "wh_1")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert [one.name for one in settings.home.iterdir()] == [FILE]
    assert Seal.of(settings).open(sealed, "wh_1") == "x"


def test_a_key_in_the_settings_goes_before_that_of_the_home(tmp_path: Path) -> None:
    named = SecretStr(base64.b64encode(NEW).decode())
    settings = WarehouseSettings(home=tmp_path, secret_key=named)
    assert seal(NEW).open(Seal.of(settings).seal("x", "wh_1"), "wh_1") == "x"
    assert not (tmp_path / FILE).exists()


def test_a_home_whose_key_is_damaged_says_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("nonsense\n", encoding="utf-8")
    with pytest.raises(UnreadableSecretError, match=r"secret\.key holds no key: key 1 is not 32"):
        Seal.of(WarehouseSettings(home=tmp_path)).seal("x", "wh_1")


def _sealed(home: str) -> str:
    return Seal.of(WarehouseSettings(home=Path(home))).seal("x", "wh_1")


def test_processes_that_start_at_once_make_one_key(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        sealed = pool.map(_sealed, [str(tmp_path / "home")] * 6, chunksize=1)
    assert len({one.partition(":")[0] for one in sealed}) == 1
    assert [one.name for one in (tmp_path / "home").iterdir()] == [FILE]

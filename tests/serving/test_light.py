"""The light forms load in a process of their own without what only training needs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.serving.conftest import SPECS, Learned

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"pandas", "lightgbm", "scipy", "sklearn", "pyarrow", "deltalake", "duckdb", "prophet"}
LIGHT = ("profitability", "churn", "pricing", "anomaly")
LOADS = """
import json, sys
from datetime import date
from pathlib import Path
from ml.models import default_registry
from ml.serving.base import Asked, StoredFeatures
from ml.settings import MlSettings

found = {}
for spec in default_registry().values():
    kind = spec.serving_class()
    if kind.fits:
        continue
    folder, entity, text = json.loads(sys.argv[1])[spec.name]
    stored = StoredFeatures(text)
    serving = kind(spec, MlSettings(), Path(folder))
    query = spec.Query.model_validate(serving.example(entity, stored))
    found[spec.name] = len(serving.answer(Asked(query, stored, date(2026, 6, 30))).decisions)
print(json.dumps([found, sorted({name.split(".")[0] for name in sys.modules})]))
"""


def test_they_load_and_answer_without_pandas_or_lightgbms_package(learned: Learned) -> None:
    cases = {name: learned(SPECS[name]) for name in LIGHT}
    files = {}
    for name, case in cases.items():
        entity, features = next(iter(case.stored.items()))
        files[name] = [str(case.folder), entity, features.text]
    done = subprocess.run(
        [sys.executable, "-c", LOADS, json.dumps(files)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    answered, modules = json.loads(done.stdout)
    assert answered == dict.fromkeys(LIGHT, 1)
    assert not HEAVY & set(modules)


def test_reading_what_a_worker_answers_with_loads_nothing_heavy() -> None:
    code = (
        "import json, sys\n"
        "from ml.models import default_registry\n"
        "kinds = [spec.serving_class() for spec in default_registry().values()]\n"
        "assert [kind.fits for kind in kinds] == [False, False, True, False, True, True, False]\n"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert not HEAVY & set(json.loads(done.stdout))

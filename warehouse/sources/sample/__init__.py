"""The generated sample firm: a source without data of one's own, its planted truth apart."""

from __future__ import annotations

from warehouse.sources.sample.firm import SampleFirm
from warehouse.sources.sample.spec import SampleSpec, SampleSpecError, parse

__all__ = ["SampleFirm", "SampleSpec", "SampleSpecError", "parse"]

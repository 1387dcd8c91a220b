"""From a source into the lake: cast, judged, compared with what is there, recorded at the end."""

from __future__ import annotations

from warehouse.ingestion.pipeline import LAKE, ingest
from warehouse.ingestion.report import IngestReport, TableReport

__all__ = ["LAKE", "IngestReport", "TableReport", "ingest"]

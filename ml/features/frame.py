"""The engine's answer: one row an entity and date, one column a feature, and the schema's hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from ml.features.declarations import Feature, describe

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def schema_hash(features: Sequence[Feature], entity: str = "client_id") -> str:
    """Sha256 over the declarations, in order: equal exactly when the columns mean the same."""
    schema = {"entity": entity, "features": [describe(feature) for feature in features]}
    return hashlib.sha256(json.dumps(schema, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class FeatureFrame:
    """``frame`` has columns ``[entity, "as_of", *names]``, sorted by as_of, then entity.

    as_of is datetime64[s] at midnight; figures are float64 with NaN, text attributes ``str``.
    """

    frame: pd.DataFrame
    features: tuple[Feature, ...]
    entity: str

    @property
    def names(self) -> list[str]:
        """Feature names in order."""
        return [feature.name for feature in self.features]

    @property
    def schema_hash(self) -> str:
        """Hash of the declarations behind the columns."""
        return schema_hash(self.features, self.entity)

    @property
    def index(self) -> pd.DataFrame:
        """Only entity and as_of, which labels are joined by."""
        return self.frame[[self.entity, "as_of"]]

    @property
    def X(self) -> pd.DataFrame:  # noqa: N802 - scikit-learn's own name
        """Only the feature columns."""
        return self.frame[self.names]

    def at(self, as_of: date) -> pd.DataFrame:
        """The rows of one date, numbered from 0."""
        import pandas as pd

        return self.frame[self.frame["as_of"] == pd.Timestamp(as_of)].reset_index(drop=True)

    def to_arrow(self) -> pa.Table:
        """As an Arrow table with as_of a date32, for the lake."""
        import pyarrow as pa

        table = pa.Table.from_pandas(self.frame, preserve_index=False)
        position = table.column_names.index("as_of")
        return table.set_column(position, "as_of", table["as_of"].cast(pa.date32()))

"""Pricing: do 80 % intervals of elasticities hold the truth, and are they narrow enough to use?

Coverage and width are of the segments that get a price; those with thin evidence are refused.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.truth.firms import Firm, Firms
from tests.truth.lines import Figures
from warehouse.snapshot import Snapshot

SEGMENT = ["service_id", "segment"]


def model(firms: Firms, seed: int) -> Figures:
    """The method as production wires it."""
    firm = firms.get(seed)
    return _figures(firm, _decisions(firm, firm.data))


def oracle(firms: Firms, seed: int) -> Figures:
    """The true elasticity, said as an 80 % interval must be: one in five off, by a little."""
    truth = firms.get(seed).truth["elasticities"]
    centre = truth["elasticity"] + np.where(np.arange(len(truth)) % 5 == 0, 0.11, 0.0)
    answered = np.where(truth["price_moves"], "recommended", "thin_evidence")
    said = truth[SEGMENT].assign(
        elasticity_low=centre - 0.1, elasticity_high=centre + 0.1, status=answered
    )
    return _figures(firms.get(seed), said)


def shuffled(firms: Firms, seed: int) -> Figures:
    """The method on invoices whose prices stand on other lines."""
    firm = firms.get(seed)
    return _figures(firm, _decisions(firm, firm.shuffled({"invoice_lines": ["unit_price"]})))


def _decisions(firm: Firm, data: Snapshot) -> pd.DataFrame:
    method = firm.method("pricing")
    fitted = method.learn(data, firm.end)
    return method.decide(fitted, method.inputs(data, [firm.end])[firm.end], firm.end, "none")


def _figures(firm: Firm, said: pd.DataFrame) -> Figures:
    known = said.merge(firm.truth["elasticities"][[*SEGMENT, "elasticity"]], on=SEGMENT)
    truth = known["elasticity_y" if "elasticity_y" in known else "elasticity"]
    answered = known["status"] == "recommended"
    low, high = known["elasticity_low"].astype(float), known["elasticity_high"].astype(float)
    return {
        "coverage": float(truth.between(low, high)[answered].mean()),
        "refused": float(1 - answered.mean()),
        "median_width": float((high - low)[answered].median()),
    }

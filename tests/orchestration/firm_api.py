"""The API over the small firm, in a process of its own.

``FIRM`` names its folder, ``FIRM_WAREHOUSE`` a warehouse elsewhere, ``FIRM_LIMITS`` a Redis server.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import uvicorn

from api.main import create_app
from api.settings import ApiSettings
from tests.small_firm import LAST, Firm

if __name__ == "__main__":
    firm = Firm(Path(os.environ["FIRM"]), os.environ.get("FIRM_WAREHOUSE"))
    limits = os.environ.get("FIRM_LIMITS", "memory")
    settings = ApiSettings(api_ip_limit="unlimited", api_limits_url=limits)
    app = create_app(firm.on(LAST), settings)
    uvicorn.run(app, port=int(sys.argv[1]), log_level="critical", ws="none")

"""The API over the small firm, in a process of its own: ``FIRM`` names its folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import uvicorn

from api.main import create_app
from api.settings import ApiSettings
from tests.small_firm import LAST, Firm

if __name__ == "__main__":
    app = create_app(Firm(Path(os.environ["FIRM"])).on(LAST), ApiSettings(api_ip_limit="unlimited"))
    uvicorn.run(app, port=int(sys.argv[1]), log_level="critical", ws="none")

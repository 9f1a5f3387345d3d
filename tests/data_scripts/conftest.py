"""The scripts are no package: their folder goes on the path, as it is when one of them runs."""

import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "data_scripts"
if str(SCRIPTS) not in sys.path:
    sys.path.insert(0, str(SCRIPTS))

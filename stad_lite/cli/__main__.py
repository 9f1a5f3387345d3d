"""``python -m stad_lite.cli`` is ``stad-lite``."""

import sys

from stad_lite.cli import main

sys.exit(main())

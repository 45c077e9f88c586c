"""The command: ``python -m bench``."""

from __future__ import annotations

import sys

from .command import main

sys.exit(main())

"""``python -m choreo.cli``: the same command, for an interpreter whose scripts are not on PATH."""

import sys

from choreo.cli import main

sys.exit(main())

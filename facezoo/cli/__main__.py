"""Lets ``python -m facezoo.cli`` stand for ``facezoo``."""

import sys

from facezoo.cli import main

sys.exit(main())

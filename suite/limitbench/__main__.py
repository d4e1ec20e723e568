"""`python -m limitbench` is the command `limitbench`."""

import sys

from limitbench.cli import main

sys.exit(main())

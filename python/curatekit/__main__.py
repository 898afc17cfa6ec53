"""`python -m curatekit` is the command `curatekit`."""

import sys

from curatekit.cli import main

sys.exit(main())

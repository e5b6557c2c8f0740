"""`python -m aiocircle`: the same as the `aiocircle` command."""

import sys

from aiocircle.cli import main

sys.exit(main())

"""`python -m emberhub` is the command line `emberhub`."""

import sys

from .cli import main

sys.exit(main())

"""`python -m emberhub_service`."""

import os

# Taken before the imports below, which last long enough for a hub to die meanwhile.
_PARENT = os.getppid()

import sys  # noqa: E402

from .app import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(parent=_PARENT))

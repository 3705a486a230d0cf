"""`emberhub sparkmagic install`: sparkmagic, its settings and its kernel."""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
from pathlib import Path

from ..errors import EmberhubError
from ..sparkmagic import ENV_DIRECTORY, install, installed

PACKAGES = (
    "sparkmagic==0.23.0",
    "hdijupyterutils==0.23.0",
    "autovizwidget==0.23.0",
    "requests-kerberos>=0.15,<1",
    "pyspnego>=0.11,<1",
)
"""Without what they depend on: that is in the extra `sparkmagic`, but for Kerberos, which needs a compiler."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    doing = actions.add_parser("install", help="install sparkmagic, its settings and the PySpark kernel")
    doing.add_argument(
        "--sys-prefix",
        action="store_true",
        help=f"for all users of this Python, as in an image: set {ENV_DIRECTORY} to what is printed",
    )


def run(args: argparse.Namespace) -> int:
    """Run it; returns the exit status."""
    if not installed():
        print("Installing sparkmagic, without Kerberos")
        asked = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        if subprocess.run([*asked, *PACKAGES], check=False).returncode:
            raise EmberhubError(f"pip could not install sparkmagic: see above, or run pip install --no-deps {PACKAGES}")
        importlib.invalidate_caches()
    prefix = Path(sys.prefix)
    own = os.environ.get(ENV_DIRECTORY)
    if args.sys_prefix:
        kept, written = install(prefix, prefix / "share" / "jupyter", prefix / "etc" / "sparkmagic")
    else:
        data = os.environ.get("JUPYTER_DATA_DIR")
        kept, written = install(Path.home(), Path(data) if data else None, Path(own).expanduser() if own else None)
    for path in written:
        print(f"Wrote {path}")
    if kept:
        print(f"Left as they were: {', '.join(kept)}")
    if args.sys_prefix:
        print(f"Set {ENV_DIRECTORY}={prefix / 'etc' / 'sparkmagic'} for notebook servers")
    print("In a notebook: %load_ext sparkmagic.magics, or the kernel PySpark")
    return 0

"""JupyterHub's proxy in Python, made fit for many users: `python -m emberhub_service.proxy`.

It is PyPI's `configurable-http-proxy`, which needs no node. By itself it forwards ten requests at a time and gives
each 20 seconds: too few for a class whose notebooks all wait for something.
"""

from __future__ import annotations

import sys

from configurable_http_proxy.cli import main as run_proxy
from tornado.httpclient import AsyncHTTPClient

MAX_REQUESTS = 1000
TIMEOUT = 120
"""Seconds that one request may take."""


def main() -> None:
    """Run the proxy with the arguments that JupyterHub gives."""
    AsyncHTTPClient.configure(None, max_clients=MAX_REQUESTS)
    sys.argv += ["--proxy-timeout", str(TIMEOUT * 1000)]
    run_proxy()


if __name__ == "__main__":
    main()

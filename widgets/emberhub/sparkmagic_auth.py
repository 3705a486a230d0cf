"""What sparkmagic calls: who asks, and what to do while the service restarts. Needs sparkmagic."""

from __future__ import annotations

import urllib.parse
from typing import Any

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from sparkmagic.auth.customauth import Authenticator
from urllib3.util.retry import Retry

from .errors import ConfigError
from .http import LOOPBACK, from_environment
from .sparkmagic import ADDRESS

_TRIES = 30
_PAUSE, _LONGEST_PAUSE = 0.2, 2.0
"""Seconds between tries."""


class Emberhub(Authenticator):  # type: ignore[misc]  # sparkmagic has no types
    """Sends requests for `http://emberhub/livy` to the hub's service, with the notebook server's token.

    The token goes nowhere else.
    """

    def __init__(self, parsed_attributes: Any = None) -> None:
        super().__init__(parsed_attributes)
        if parsed_attributes is None:
            self.url = self.address_widget.value = ADDRESS

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Address and sign it. Raises NotInHub, or ConfigError if it is for somebody else."""
        service = from_environment()
        real, asked = f"{service.url}/livy", request.url or ""
        path = next((asked.removeprefix(base) for base in (ADDRESS, real) if asked.startswith(base)), None)
        if path is None or path[:1] not in ("", "/", "?"):
            raise ConfigError(f"the authenticator Emberhub is for {ADDRESS}: write that address, or choose another one")
        request.url = real + path
        service.sign(request.headers)
        return request


class Patient(HTTPAdapter):  # type: ignore[misc]  # nor has requests
    """Waits for a service that is being restarted: a request that reached nobody, or only asks, is sent again."""

    def __init__(self) -> None:
        super().__init__(
            max_retries=Retry(
                total=None,
                connect=_TRIES,
                read=_TRIES,
                redirect=0,
                status=0,
                other=0,
                allowed_methods=("GET", "DELETE"),
                backoff_factor=_PAUSE,
                backoff_max=_LONGEST_PAUSE,
            )
        )

    def send(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:
        """As requests does; to this machine, never by way of a proxy."""
        if urllib.parse.urlsplit(request.url or "").hostname in LOOPBACK:
            options["proxies"] = {}
        return super().send(request, *args, **options)

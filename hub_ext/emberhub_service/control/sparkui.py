"""Spark's web UI of a cluster: where it is, and how the service shows that it may ask."""

from __future__ import annotations

import asyncio
import base64
import hmac

from emberhub.errors import RequestRefused
from emberhub.wire.agent import Endpoint, ShowUi
from emberhub.wire.driver import ui_key

from ..records import ClusterRecord
from .people import Person
from .requests import Requests
from .state import State

PATIENCE = 30.0
"""Seconds that a driver may take to open its UI, the first time somebody asks."""
_HEADER = b'{"alg":"HS256"}'
_CLAIMS = b'{"sub":"emberhub"}'


class SparkUi:
    """Finds the UIs; see the module."""

    def __init__(self, state: State, requests: Requests) -> None:
        self._state = state
        self._requests = requests

    def find(self, person: Person, cluster: str) -> ClusterRecord:
        """The cluster of this id, or of the person's own that has this name. For its owner, and for admins.

        Raises RequestRefused: 404.
        """
        own = next((r for r in self._state.records_of(person.name) if cluster in (r.id, r.name)), None)
        return own or self._requests.find(person, cluster, instructors=False)

    async def endpoint(self, record: ClusterRecord) -> Endpoint:
        """Where the UI is; its driver is told to open it if need be. Raises RequestRefused: 409, 504."""
        deadline, asked = asyncio.get_running_loop().time() + PATIENCE, False
        while True:
            version, live = self._state.version(record.id), self._state.lives.get(record.id)
            if live is None or live.report is None or live.report.endpoint is None:
                raise RequestRefused(
                    f"Cluster {record.name} does not run; start it, and its pages can be seen once it is ready.", 409
                )
            if live.report.ui is not None:
                return live.report.ui
            if not asked and live.link is not None:
                live.link.send(ShowUi())
                asked = True
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                raise RequestRefused("Spark's pages did not open in time; load this page again.", 504)
            await self._state.wait(record.id, version, left)


def signed(record: ClusterRecord) -> str:
    """A token (JWS) that the cluster's UI accepts. It is sent to the driver, and to nobody else."""
    text = b".".join(map(_encode, (_HEADER, _CLAIMS)))
    signature = hmac.digest(ui_key(record.connect_token), text, "sha256")
    return b".".join((text, _encode(signature))).decode()


def _encode(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")

"""Who asks: the hub is asked about each token, and the answer is kept for a minute."""

from __future__ import annotations

import re
from typing import Any

from emberhub.errors import RequestRefused
from jupyterhub.services.auth import HubAuth
from tornado.web import HTTPError

from ..control.requests import Person

ACCESS = "access:services!service=emberhub"
_HEADER = re.compile(r"^(?:token|bearer)\s+(\S+)\s*$", re.IGNORECASE)
_ADMIN, _METRICS = "admin:users", "read:metrics"


class Identity:
    """Asks the hub through JupyterHub's own `HubAuth`."""

    def __init__(self, auth: HubAuth) -> None:
        self._auth = auth
        self._needed = set(auth.access_scopes) or {ACCESS}

    async def person(self, authorization: str | None) -> Person:
        """Whom this `Authorization` header belongs to. Raises RequestRefused: 401, 403, or 503 without the hub."""
        found = _HEADER.match(authorization or "")
        if found is None:
            raise RequestRefused("Say who you are: send a token of the hub as 'Authorization: token …'.", 401)
        try:
            model = await self._auth.user_for_token(found[1], sync=False)
        except HTTPError:
            raise RequestRefused("The hub cannot be asked who you are at the moment; try again soon.", 503) from None
        if model is None:
            raise RequestRefused("The hub does not know this token; make a new one on the hub's token page.", 401)
        if not self._auth.check_scopes(self._needed, model):
            raise RequestRefused(f"This token lacks the scope {' or '.join(sorted(self._needed))}; add it.", 403)
        return person_of(model)

    async def close(self) -> None:
        """Let go of the connections to the hub."""
        try:
            from jupyterhub.httpclient import JupyterHubHTTPClient  # noqa: PLC0415 (since JupyterHub 6)
        except ImportError:
            return
        await JupyterHubHTTPClient.loop_instance().close()


def person_of(model: dict[str, Any]) -> Person:
    """From the hub's model of a token's owner. A notebook's token says nothing of admin rights, even an admin's."""
    scopes = set(model.get("scopes", ()))
    admin = bool(model.get("admin")) or _ADMIN in scopes
    # A service may be named like a user, and must not be taken for them; it owns no clusters.
    name = str(model["name"]) if model.get("kind", "user") == "user" else ""
    return Person(name=name, groups=tuple(model.get("groups") or ()), admin=admin, metrics=admin or _METRICS in scopes)

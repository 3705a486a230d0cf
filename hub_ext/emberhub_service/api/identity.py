"""Who asks: the hub is asked about each token, and the answer is kept for a minute.

Programs send a token in a header. Browsers have logged in at the hub, and carry the token that it gave in a signed
cookie; whatever a browser does beyond looking at a page needs the page's XSRF token as well.
"""

from __future__ import annotations

import re
from typing import Any

from emberhub.errors import RequestRefused
from jupyterhub.services.auth import HubOAuth, HubOAuthenticated
from tornado.web import HTTPError, RequestHandler

from ..control.people import Person

ACCESS = "access:services!service=emberhub"
_HEADER = re.compile(r"^(?:token|bearer)\s+(\S+)\s*$", re.IGNORECASE)
_ADMIN, _METRICS = "admin:users", "read:metrics"


class Identity:
    """Asks the hub through JupyterHub's own `HubOAuth`."""

    def __init__(self, auth: HubOAuth) -> None:
        self.auth = auth
        self._needed = set(auth.access_scopes) or {ACCESS}

    async def person(self, authorization: str | None) -> Person:
        """Whom this `Authorization` header belongs to. Raises RequestRefused: 401, 403, or 503 without the hub."""
        found = _HEADER.match(authorization or "")
        if found is None:
            raise RequestRefused("Say who you are: send a token of the hub as 'Authorization: token …'.", 401)
        try:
            model = await self.auth.user_for_token(found[1], sync=False)
        except HTTPError:
            raise RequestRefused("The hub cannot be asked who you are at the moment; try again soon.", 503) from None
        if model is None:
            raise RequestRefused("The hub does not know this token; make a new one on the hub's token page.", 401)
        return self._admitted(model)

    async def visitor(self, handler: RequestHandler, *, xsrf: bool = True, fresh: bool = False) -> Person | None:
        """Whose browser this is, by its cookie; None if it has not logged in, or does not show the XSRF token that this
        request needs. Without `xsrf` it needs none, for what is only looked at; with `fresh` the hub is asked again.
        Raises RequestRefused: 403, or 503 without the hub.
        """
        try:
            if xsrf and not fresh:
                model = await self.auth.get_user(handler, sync=False)
            else:
                token, session = self.auth.get_token(handler), self.auth.get_session_id(handler)
                if not token:
                    return None
                model = await self.auth.user_for_token(token, use_cache=not fresh, session_id=session, sync=False)
        except HTTPError:
            raise RequestRefused("The hub cannot be asked who you are at the moment; try again soon.", 503) from None
        return None if model is None else self._admitted(model)

    def _admitted(self, model: dict[str, Any]) -> Person:
        if not self.auth.check_scopes(self._needed, model):
            raise RequestRefused(f"This token lacks the scope {' or '.join(sorted(self._needed))}; add it.", 403)
        return person_of(model)

    async def close(self) -> None:
        """Let go of the connections to the hub."""
        try:
            from jupyterhub.httpclient import JupyterHubHTTPClient  # noqa: PLC0415 (since JupyterHub 6)
        except ImportError:
            return
        await JupyterHubHTTPClient.loop_instance().close()


class WithIdentity(HubOAuthenticated):  # type: ignore[misc]  # the hub's package has no types
    """What JupyterHub's `HubOAuth` expects of a handler: XSRF tokens that are bound to a login, and where to log in."""

    identity: Identity

    def set_identity(self, identity: Identity) -> None:
        """Call it in `initialize`."""
        self.identity = identity
        self.hub_auth = identity.auth


def person_of(model: dict[str, Any]) -> Person:
    """From the hub's model of a token's owner. A notebook's token says nothing of admin rights, even an admin's."""
    scopes = set(model.get("scopes", ()))
    admin = bool(model.get("admin")) or _ADMIN in scopes
    # A service may be named like a user, and must not be taken for them; it owns no clusters.
    name = str(model["name"]) if model.get("kind", "user") == "user" else ""
    return Person(name=name, groups=tuple(model.get("groups") or ()), admin=admin, metrics=admin or _METRICS in scopes)

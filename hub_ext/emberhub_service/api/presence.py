"""Who has a notebook server, as the hub says: for them a warm driver is kept."""

from __future__ import annotations

import logging

import msgspec
from jupyterhub.services.auth import HubAuth
from tornado.httpclient import AsyncHTTPClient, HTTPClientError

log = logging.getLogger(__name__)

_MOST = 200
"""More people than that have no effect: nobody keeps so many warm drivers."""


class _User(msgspec.Struct):
    name: str


async def people_with_servers(auth: HubAuth) -> set[str] | None:
    """The names of the users whose servers run, 200 at most; None if the hub does not say.

    It takes the hub's scope `list:users`, which `emberhub_spawner.hub.configure` gives to the service.
    """
    try:
        answer = await AsyncHTTPClient().fetch(
            f"{auth.api_url.rstrip('/')}/users?state=active&limit={_MOST}",
            headers={"Authorization": f"token {auth.api_token}"},
        )
        return {user.name for user in msgspec.json.decode(answer.body, type=list[_User])}
    except (OSError, HTTPClientError, msgspec.MsgspecError) as error:
        log.info("the hub does not say who is logged in, so all the warm drivers allowed are kept: %s", error)
        return None

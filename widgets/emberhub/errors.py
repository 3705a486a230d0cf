"""Every error that Emberhub raises on purpose. Each message says what happened and what to do next."""

from __future__ import annotations


class EmberhubError(Exception):
    """Any error of Emberhub's own."""


class NotInHub(EmberhubError):
    """The process does not know which hub to talk to."""


class RequestRefused(EmberhubError):
    """The service refused a request; the message is its own sentence."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status of the answer."""


class ServiceUnavailable(EmberhubError):
    """The service cannot be reached or does not answer for now."""

    def __init__(self, what: str) -> None:
        # What the service says itself has a full stop, and a next step of its own.
        own = what.endswith(".")
        super().__init__(what if own else f"{what}. Try again soon, and tell your administrator if it stays so")
        self.what = what.rstrip(".")
        """What happened, for those who try again by themselves; without a full stop."""


class ClusterFailed(EmberhubError):
    """The cluster did not start, or stopped while it was waited for."""


class ConfigError(EmberhubError):
    """The site's configuration is wrong; the message names the key."""

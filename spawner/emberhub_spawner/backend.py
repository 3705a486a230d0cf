"""The boundary between the service and whatever runs Spark drivers.

A backend starts and stops driver processes, and says what has become of them. It decides nothing: how many executors
a cluster has is settled between the service and the driver's agent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from emberhub.wire.resources import Resources

from .pods import Pod


class StartFailed(Exception):
    """The driver could not be started; the message is a sentence for the cluster's user."""


@dataclass(frozen=True)
class DriverSpec:
    """Everything that a backend needs to know to start one driver."""

    cluster: str
    """The cluster's id: letters, digits and hyphens, unique for ever."""
    generation: int
    user: str
    name: str
    pool: str
    agent_url: str
    agent_token: str
    connect_token: str
    executor: Resources
    conf: dict[str, str]
    """`spark.*` settings of profile and user."""
    lease: float
    """Seconds."""
    driver_pod: Pod = field(default_factory=Pod)
    executor_pod: Pod = field(default_factory=Pod)
    """How pods are made, for backends that make pods."""

    def __repr__(self) -> str:
        # Tokens never reach a log, not even by accident.
        return f"DriverSpec(cluster={self.cluster!r}, generation={self.generation}, user={self.user!r})"


@dataclass(frozen=True)
class Driver:
    """A driver that a backend has running, or has just seen end."""

    cluster: str
    generation: int
    alive: bool
    message: str = ""
    """Why it ended, as a sentence for its user, where it has ended."""


class Backend(Protocol):
    """What the service asks of a backend. All methods may be called again after a failure."""

    async def open(self, on_exit: Callable[[Driver], None]) -> list[Driver]:
        """Start what drivers need, adopt the drivers that an earlier service left running, and return those.

        `on_exit` is called once for each driver that ends from then on, for whatever reason.
        """
        ...

    async def start(self, spec: DriverSpec) -> None:
        """Start a driver; returns when its process exists, long before it can take work.

        Raises StartFailed.
        """
        ...

    async def stop(self, cluster: str, grace: float) -> None:
        """End the cluster's driver: politely, and after `grace` seconds by force. Returns when it is gone, with its
        executors and its files. A cluster without a driver is no error.
        """
        ...

    async def trouble(self, cluster: str) -> str:
        """Why the cluster's driver, or the executors that it was promised, do not come: as sentences for its user, as
        far as the backend can see; empty where it sees nothing.
        """
        ...

    async def resize(self, pools: dict[str, Resources]) -> None:
        """The configuration changed: from now on the pools are these. What runs goes on."""
        ...

    async def close(self) -> None:
        """The service ends; drivers and executors stay."""
        ...

    async def shutdown(self) -> None:
        """End every driver and whatever `open` started: nothing is left behind."""
        ...

"""One driver of this machine: its process, and its directory, which only the service's user can read.

In it: `state.json` (the process, for the next service to adopt), `config.json`, `driver.log`, scratch, warehouse.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from emberhub.wire.driver import (
    ENV_AGENT_TOKEN,
    ENV_CONFIG,
    ENV_CONNECT_TOKEN,
    ENV_MARK,
    ENV_SPARK_SECRET,
    DriverConfig,
    mark,
)

from ..backend import DriverSpec, StartFailed
from .engine import EngineClient
from .environment import for_driver
from .processes import Identity


class _State(msgspec.Struct):
    """`state.json`."""

    cluster: str
    generation: int
    pid: int
    started: float


@dataclass
class Running:
    """A driver that runs, or has just ended."""

    cluster: str
    generation: int
    directory: Path
    identity: Identity
    child: subprocess.Popen[bytes] | None = None
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    burial: asyncio.Task[None] | None = None

    @property
    def mark(self) -> str:
        """What all its processes carry."""
        return mark(self.cluster, self.generation)

    def ended(self) -> bool:
        """Whether its process has."""
        return self.child.poll() is not None if self.child is not None else not self.identity.alive()


def start(spec: DriverSpec, drivers: Path, engine: EngineClient, *, tuned: bool) -> Running:
    """Start one, with a directory of its own among the drivers'. Raises StartFailed."""
    directory = drivers / mark(spec.cluster, spec.generation)
    child = None
    try:
        child = launch(spec, directory, engine, tuned)
        identity = Identity.of(child.pid) or Identity(child.pid, 0.0)
        state = _State(spec.cluster, spec.generation, child.pid, identity.started)
        (directory / "state.json").write_bytes(msgspec.json.encode(state))
    except OSError as error:
        if child is not None:
            # A driver that the next service could not find must not be.
            child.kill()
            child.wait()
        shutil.rmtree(directory, ignore_errors=True)
        raise StartFailed(
            f"The Spark driver could not be started: {error.strerror or error}. Tell your administrator."
        ) from error
    return Running(spec.cluster, spec.generation, directory, identity, child)


def launch(spec: DriverSpec, directory: Path, engine: EngineClient, tuned: bool) -> subprocess.Popen[bytes]:
    """Make its directory, and begin its process."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700)
    config = DriverConfig(
        cluster=spec.cluster,
        generation=spec.generation,
        user=spec.user,
        name=spec.name,
        agent_url=spec.agent_url,
        master=engine.master,
        executor=spec.executor,
        directory=str(directory),
        conf=spec.conf,
        lease=spec.lease,
        tuned=tuned,
    )
    path = directory / "config.json"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.encode(config))
    with (directory / "driver.log").open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "emberhub_driver"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=directory,
            env=for_driver()
            | {
                ENV_CONFIG: str(path),
                ENV_AGENT_TOKEN: spec.agent_token,
                ENV_CONNECT_TOKEN: spec.connect_token,
                ENV_SPARK_SECRET: engine.secret(),
                ENV_MARK: mark(spec.cluster, spec.generation),
            },
            start_new_session=True,
        )


def left(drivers: Path) -> list[tuple[Path, Running | None]]:
    """The directories of drivers that an earlier service started, and what is noted in each; None where nothing is."""
    found: list[tuple[Path, Running | None]] = []
    for directory in sorted(drivers.iterdir()):
        try:
            state = msgspec.json.decode((directory / "state.json").read_bytes(), type=_State)
        except (OSError, msgspec.MsgspecError):
            # A service died between making the directory and noting the process.
            found.append((directory, None))
        else:
            identity = Identity(state.pid, state.started)
            found.append((directory, Running(state.cluster, state.generation, directory, identity)))
    return found

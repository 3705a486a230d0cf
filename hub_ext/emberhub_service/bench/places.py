"""Where users get their executors, one place for each policy, on an engine of its own.

* `ember`: the service in a process of its own, with the local backend. A stand-in answers its questions to the hub.
* `spark-dynamic`: each user's application for itself, with Spark's dynamic allocation, on one standalone master: what
  the Gaia platform at Edinburgh had, scaled to the pool. First come, first served.
* `static`: each user's application gets an equal part of the pool, and at least one executor; those for whom none is
  left queue, as Spark's standalone master has it.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import msgspec
from emberhub.wire.driver import ENV_SPARK_SECRET, DriverConfig
from emberhub_spawner.local.engine import EngineClient

from .driver import Order
from .ember import ember
from .plans import IDLE, INITIAL, LEAST, QUICK, SHAPE, Access, Plan, event_log


@contextlib.asynccontextmanager
async def place(plan: Plan) -> AsyncIterator[dict[str, Access]]:
    """Open the place of a plan that is `opened`; gives each user's access. All that was started has ended afterwards.

    Raises EmberhubError where it does not open.
    """
    async with ember(plan) if plan.policy == "ember" else _alone(plan) as access:
        yield access


# --- each for itself ----------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _alone(plan: Plan) -> AsyncIterator[dict[str, Access]]:
    directory = plan.directory / "engine"
    directory.mkdir(mode=0o700)
    engine = EngineClient(directory, abandoned_after=30.0)
    await engine.hold()
    try:
        await engine.ensure(SHAPE * plan.executors, remembered=False)
        yield {name: _own(plan, name, engine) for name in plan.names}
    finally:
        await engine.end()
        engine.release()


def _own(plan: Plan, name: str, engine: EngineClient) -> Access:
    config = DriverConfig(
        cluster=name,
        generation=1,
        user=name,
        name="main",
        agent_url="",
        master=engine.master,
        executor=SHAPE,
        directory=str(plan.directory / "drivers" / name),
        conf={"spark.executor.extraJavaOptions": QUICK} if plan.tuning == "tuned" else {},
        tuned=plan.tuning == "tuned",
    )
    path = plan.directory / f"{name}.json"
    path.write_bytes(msgspec.json.encode(Order(config, allocation(plan) | event_log(plan.events))))
    return Access({ENV_SPARK_SECRET: engine.secret()}, str(path))


def allocation(plan: Plan) -> dict[str, str]:
    """Spark's settings of a policy without Emberhub."""
    if plan.policy == "static":
        return {
            "spark.dynamicAllocation.enabled": "false",
            "spark.cores.max": str(max(1, plan.executors // plan.users)),
        }
    return {
        "spark.dynamicAllocation.enabled": "true",
        "spark.dynamicAllocation.initialExecutors": str(min(INITIAL, plan.executors)),
        "spark.dynamicAllocation.minExecutors": str(LEAST),
        "spark.dynamicAllocation.maxExecutors": str(plan.executors),
        "spark.dynamicAllocation.executorIdleTimeout": f"{IDLE}s",
    }

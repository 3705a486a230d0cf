"""What keeps drivers and executors is told to their user, while they wait and where they give up."""

from emberhub_spawner.fake import Script

NO_NODE = "No node is of the kind that the profile asks for."


async def test_executors_that_are_late_have_their_cause_told_while_they_are_waited_for_and_after(site):
    site.script = lambda spec: Script(wanted=1, executors_start=False, trouble=NO_NODE)
    site.set("stop_after: 30m", "stop_after: 30m, executor_start_timeout: 6s")
    async with site.service() as running:
        cluster, _ = await running.start()
        await running.until(cluster, lambda c: c["granted"] == 1 and c["message"] == NO_NODE)
        view = await running.until(cluster, lambda c: c["unmet"] and "did not start" in c["message"])
        assert view["message"].endswith(NO_NODE)


async def test_a_driver_that_does_not_start_has_its_cause_told_and_fails_with_it(site):
    site.script = lambda spec: Script(connect=False, trouble=NO_NODE)
    site.set("stop_after: 30m", "stop_after: 30m, driver_start_timeout: 6s")
    async with site.service() as running:
        answer = await running.call("POST", "api/clusters", {})
        cluster = answer.json["id"]
        await running.until(cluster, lambda c: c["state"] == "starting" and NO_NODE in c["message"])
        view = await running.until(cluster, lambda c: c["state"] == "failed")
        assert view["message"] == f"Its driver was not ready after 6 seconds. {NO_NODE}"
        assert running.backend.drivers == {}

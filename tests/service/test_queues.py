"""Queues changed on the page: laid over the file, checked by its rules, kept, and only ever by an admin."""

import pytest
from emberhub.errors import ConfigError
from emberhub.wire.resources import Resources
from emberhub_service.alloc.model import Limits
from emberhub_service.config import Site, every, load_site, parse_site
from emberhub_service.records import RecordsUnavailable

from tests.support.visiting import Browser

TREE = """
pools: [{name: main, cores: 4, memory: 4G}]
queues:
  name: everyone
  children:
    - {name: class, weight: 3, guaranteed: {cores: 2, memory: 2G}, groups: [students]}
    - {name: research, policy: fifo, max: {cores: 50%}}
profiles: [{name: small, title: Small, executor: {cores: 1, memory: 1G}, executors: {min: 0, max: 4}, default: true}]
rules: {rotation_quantum: 2s, min_hold: 0s, idle_after: 1s, reclaim_notice: 300ms}
heartbeat: 500ms
lease: 3s
"""


@pytest.fixture
def site(site):
    site.yaml.write_text(TREE)
    return site


def queue(site: Site, name):
    return next(each for each in every(site.queues) if each.name == name)


async def change(running, who="admin", status=200, **body):
    answer = await running.call("PATCH", "api/queues", body, who=who)
    assert answer.status == status, answer.text
    return answer.json if status == 200 else answer.message


async def settings(running):
    listed = (await running.call("GET", "api/queues", who="admin")).json["queues"]
    return {each["name"]: each for each in listed}


# --- laid over the file ---


def test_changes_are_laid_over_the_file_key_by_key():
    site = parse_site(TREE, changes={"class": {"weight": 2, "max": {"cores": "75%"}}, "research": {"borrows": False}})
    changed = queue(site, "class")
    assert (changed.weight, changed.max) == (2.0, Limits(millicores=3000))
    assert changed.guaranteed == Resources.of(cores=2, memory="2G")
    assert not queue(site, "research").borrows
    assert site.groups == {"class": ("students",)}
    assert site.changed == {"class": ("weight", "max"), "research": ("borrows",)}
    assert parse_site(TREE).changed == {}


def test_the_built_in_queue_can_be_changed_too():
    assert load_site(None, {"class": {"policy": "fifo"}}).queues.policy == "fifo"
    assert load_site(None, {}) == load_site(None) == Site()


def test_changes_of_a_queue_that_is_not_there_are_left_out():
    assert parse_site(TREE, changes={"gone": {"weight": 9}}) == parse_site(TREE)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"class": {"weight": 0}}, "class.weight: must be a number of at least 0.001, not 0"),
        ({"class": {"policy": "lottery"}}, "class.policy: 'lottery' is not a policy; the policies are fair,"),
        ({"class": {"guaranteed": {"cores": 5}}}, "class.guaranteed: is more than the 4 cores, 4 GiB memory"),
        ({"class": {"guaranteed": {"disks": 5}}}, "class.guaranteed.disks: there is no such key"),
        ({"class": {"max": {"memory": "a lot"}}}, "class.max.memory: 'a lot' is not a size"),
        ({"class": {"max": {"cores": "120%"}}}, "class.max.cores: must not be above 100%"),
        ({"class": {"max": {"memory": "9" * 400}}}, "class.max.memory: is more than there can be"),
        ({"class": {"max": {"cores": 10**17}}}, "class.max.cores: is more than there can be"),
        ({"class": {"name": "other"}}, "class.name: there is no such key"),
        ({"research": {"guaranteed": {"cores": 3}}}, "emberhub.yaml, line 7: queues.children[1]: the guarantees of"),
    ],
)
def test_what_the_files_rules_refuse_is_refused_and_the_place_named(changes, told):
    with pytest.raises(ConfigError) as wrong:
        parse_site(TREE, changes=changes)
    assert str(wrong.value).startswith(told)


# --- in the running service ---


async def test_a_change_holds_at_once_and_is_told(running):
    admin = Browser(running, "admin")
    await admin.open()
    cluster, driver = await running.start("alice", executors={"min": 0, "max": 4})
    await driver.work(wanted=4)
    await running.until(cluster, lambda c: len(c["running"]) == 4)
    async with admin.live() as seen:
        await seen.until(lambda s: s.pool is not None)
        answer = await admin.act("PATCH", "api/queues", {"name": "class", "max": {"cores": 1}, "weight": 2})
        assert answer.json == {
            "name": "class",
            "policy": "user-fair",
            "weight": 2.0,
            "guaranteed": {"millicores": 2000, "memory": 2 << 30},
            "max": {"millicores": 1000},
            "borrows": True,
            "changed": ["weight", "max"],
        }
        left = await running.until(cluster, lambda c: len(c["running"]) == 1 and c["unmet"])
        assert "Queue class holds all the cores that it may." in left["unmet"]["reason"]
        await seen.until(lambda s: s.pool["queues"]["children"][0]["settings"]["weight"] == 2.0)
        told = "Queue class: weight 2 instead of 3; max 1 core instead of everything."
        await seen.until(lambda s: any(event["kind"] == "queue" for event in s.events))
        # What is as it was before is no event.
        await change(running, name="class", weight=2)
        listed = (await running.call("GET", "api/events", who="admin")).json["events"]
        about = [(event["actor"], event["text"]) for event in listed if event["kind"] == "queue"]
        assert about == [("root", told)]


async def test_others_are_not_told_the_settings(running):
    alice = Browser(running, "alice")
    await alice.open()
    async with alice.live() as seen:
        await seen.until(lambda s: s.pool is not None)
        assert seen.pool["queues"]["settings"] is None


@pytest.mark.parametrize("who", ["alice", "robot"])
async def test_only_admins_read_and_change_them(running, who):
    assert "Only admins may change queues" in await change(running, who, 403, name="class", weight=9)
    refused = await running.call("GET", "api/queues", who=who)
    assert refused.status == 403
    assert "Only admins" in refused.message
    assert queue(running.service.state.site, "class").weight == 3.0


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"name": "classes", "weight": 2}, 404, "the queues are: everyone, class, research."),
        ({"weight": 2}, 400, "name"),
        ({"name": "class", "weight": "much"}, 400, "weight"),
        ({"name": "class", "weight": -1}, 400, "class.weight: must be a number of at least 0.001, not -1.0. Nothing"),
        ({"name": "class", "groups": ["all"]}, 400, "groups"),
        ({"name": "class", "max": {"cores": [1]}}, 400, "max"),
        ({"name": "class", "guaranteed": {"cores": 8}}, 400, "class.guaranteed: is more than"),
        ({"name": "research", "guaranteed": {"cores": 3}}, 400, "add up to more than"),
    ],
)
async def test_what_is_wrong_is_refused_with_its_reason_and_changes_nothing(running, body, status, told):
    before = running.service.state.site
    assert told in await change(running, status=status, **body)
    assert running.service.state.site == before
    assert running.service.records.queue_changes() in ({}, {"class": {}})
    assert (await running.call("GET", "api/pool", who="admin")).json["config_error"] == ""


async def test_a_change_is_kept_over_a_restart_until_it_is_taken_back(site):
    async with site.service() as first:
        await change(first, name="class", weight=2, borrows=False)
        await change(first, name="class", max={"cores": "50%"})
    async with site.service() as second:
        kept = (await settings(second))["class"]
        assert (kept["weight"], kept["borrows"], kept["max"]) == (2.0, False, {"millicores": 2000})
        assert kept["changed"] == ["weight", "max", "borrows"]
        back = await change(second, name="class", weight=None)
        assert (back["weight"], back["changed"]) == (3.0, ["max", "borrows"])
        await change(second, name="class", max=None, borrows=None)
        assert second.service.state.site == parse_site(TREE)
        assert second.service.records.queue_changes() == {}


async def test_a_change_of_the_file_leaves_what_was_laid_over_it(running, site):
    await change(running, name="class", weight=2)
    site.set("weight: 3", "weight: 7")
    site.set("max: {cores: 50%}", "max: {cores: 25%}")
    await running.service.watch.look()
    now = await settings(running)
    assert now["class"]["weight"] == 2.0
    assert now["research"]["max"] == {"millicores": 1000}
    assert (await change(running, name="class", weight=None))["weight"] == 7.0


async def test_a_file_that_does_not_suit_the_changes_waits_until_they_are_taken_back(running, site):
    await change(running, name="research", guaranteed={"cores": 2})
    site.set("guaranteed: {cores: 2,", "guaranteed: {cores: 3,")
    await running.service.watch.look()
    state = running.service.state
    assert "add up to more than" in state.config_error
    assert queue(state.site, "class").guaranteed.millicores == 2000
    # Nor can anything else be changed meanwhile: it would be laid over a file that is not in force.
    assert "add up to more than" in await change(running, status=400, name="class", weight=5)
    await change(running, name="research", guaranteed=None)
    assert state.config_error == ""
    assert queue(state.site, "class").guaranteed.millicores == 3000


async def test_a_service_that_starts_on_a_file_that_does_not_suit_the_changes_uses_what_was_in_force(site):
    async with site.service() as first:
        await change(first, name="research", guaranteed={"cores": 2})
    site.set("guaranteed: {cores: 2,", "guaranteed: {cores: 3,")
    async with site.service() as second:
        assert "add up to more than" in second.service.state.config_error
        now = await settings(second)
        assert now["class"]["guaranteed"]["millicores"] == now["research"]["guaranteed"]["millicores"] == 2000
    (site.path / "state" / "site.last-good.yaml").unlink()
    async with site.service() as third:
        assert third.service.state.config_error.endswith("The file's own queues are in force.")
        assert queue(third.service.state.site, "class").guaranteed.millicores == 3000


async def test_without_its_file_nothing_can_be_changed(running, site):
    site.yaml.unlink()
    assert "emberhub.yaml is gone" in await change(running, status=400, name="class", weight=5)
    assert queue(running.service.state.site, "class").weight == 3.0


async def test_what_cannot_be_written_down_does_not_come_into_force(running, monkeypatch):
    def away(*_):
        raise RecordsUnavailable("The service's records cannot be written at the moment; try again soon.")

    monkeypatch.setattr(running.service.records, "change_queue", away)
    assert "cannot be written" in await change(running, status=503, name="class", weight=5)
    assert queue(running.service.state.site, "class").weight == 3.0

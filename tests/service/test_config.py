"""The site's file: human units, errors with line and key, and changes while the service runs."""

import errno

import pytest
from emberhub.errors import ConfigError
from emberhub.wire.resources import Resources
from emberhub_service.alloc.model import Limits
from emberhub_service.config import Site, instructed, leaves, load_site, parse_site
from emberhub_service.control.people import queue_for
from emberhub_spawner.fake import FakeBackend
from emberhub_spawner.profiles import DEFAULT, default_of, load_profiles, visible
from emberhub_spawner.sparkconf import ALLOWED, REFUSED, check

WHOLE = """
pools:
  - {name: cpu, cores: 64, memory: 256G, labels: {site: cam, spot: }, node: {cores: 16, memory: 64G}}
  - {name: gpu, cores: 16, memory: 64G, gpus: 4, nvme: 1T, labels: {gpu: a100}}
queues:
  name: root
  policy: fair
  children:
    - name: teaching
      guaranteed: {cores: 50%, memory: 50%}
      children:
        - {name: physics, weight: 2, guaranteed: {cores: 50%}, groups: [physics, astro]}
        - {name: others, max: {cores: 25%, memory: 10G}}
    - {name: staff, policy: fifo, borrows: false, guaranteed: {cores: 8}, groups: [staff]}
profiles:
  - name: small
    title: Small
    executor: {cores: 1, memory: 1536m}
    executors: {min: 0, max: 8}
    conf: {spark.sql.shuffle.partitions: 8}
  - name: large
    executor: {cores: 4, memory: 16G, gpus: 1}
    executors: {min: 1, max: 2}
    default: true
    groups: [staff]
    needs: gpu in [a100, h100]
rules: {rotation_quantum: 30s, stop_after: 2h, idle_after: 1m, reclaim_notice: 500ms}
lease: 90
heartbeat: 5s
clusters_per_user: 3
allowed_conf: [spark.sql.*]
"""


def test_a_whole_file_is_read_in_human_units():
    site = parse_site(WHOLE)
    assert site.pools[0].capacity == Resources.of(cores=64, memory="256G")
    assert site.pools[0].node == Resources.of(cores=16, memory="64G")
    assert site.pools[0].labels == {"site": "cam", "spot": ""}
    assert site.pools[1].capacity == Resources.of(cores=16, memory="64G", gpus=4, nvme="1T")
    assert site.profile("small").executor == Resources.of(cores=1, memory="1536m")
    assert site.profile("small").conf == {"spark.sql.shuffle.partitions": "8"}
    assert (site.rules.rotation_quantum, site.rules.idle_after, site.rules.reclaim_notice) == (30.0, 60.0, 0.5)
    assert (site.service.stop_after, site.lease, site.heartbeat, site.clusters_per_user) == (7200.0, 90.0, 5.0, 3)


def test_percentages_are_of_the_parent():
    teaching, staff = parse_site(WHOLE).queues.children
    physics, others = teaching.children
    assert teaching.guaranteed == Resources.of(cores=40, memory="160G")
    assert physics.guaranteed == Resources.of(cores=20)
    assert others.max == Limits(millicores=20_000, memory=10 << 30)
    assert (physics.weight, staff.policy, staff.borrows) == (2.0, "fifo", False)


def test_a_user_goes_to_the_queue_of_their_group():
    site = parse_site(WHOLE)
    assert [queue.name for queue in leaves(site.queues)] == ["physics", "others", "staff"]
    assert queue_for(site, ["astro"]) == "physics"
    assert queue_for(site, ["staff", "x"]) == "staff"
    assert queue_for(site, []) == "others"
    assert queue_for(parse_site("queues: {name: a, groups: [staff]}"), ["x"]) is None


def test_instructors_look_after_a_queue_and_those_below_it():
    site = parse_site("""
queues:
  name: all
  instructors: [deans]
  children:
    - {name: teaching, instructors: [teachers, deans], children: [{name: physics}, {name: maths, instructors: [anna]}]}
    - {name: research}
show_names: true
""")
    assert site.show_names
    assert instructed(site, ["teachers"]) == {"physics", "maths"}
    assert instructed(site, ["anna"]) == {"maths"}
    assert instructed(site, ["deans", "x"]) == {"physics", "maths", "research"}
    assert instructed(site, []) == instructed(parse_site("{}"), ["deans"]) == set()


def test_profiles_are_for_their_groups(tmp_path):
    (tmp_path / "site.yaml").write_text(WHOLE)
    profiles = load_profiles(tmp_path / "site.yaml")
    assert [p.name for p in visible(profiles, ["staff"])] == ["small", "large"]
    assert [p.name for p in visible(profiles, [])] == ["small"]
    assert default_of(visible(profiles, ["staff"])).name == "large"
    assert default_of(visible(profiles, [])).name == "small"
    assert load_profiles(tmp_path / "absent.yaml") == (DEFAULT,)


def test_without_a_file_the_built_in_configuration_suits_a_class(tmp_path):
    site = load_site(tmp_path / "absent.yaml")
    assert site == load_site(None) == parse_site("") == parse_site("# only a comment\n") == Site()
    assert (site.queues.policy, site.queues.children) == ("user-fair", ())


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("cores: 64", "cores: many", "line 3: pools[0].cores: must be a number"),
        ("cores: 64", "cores: -1", "line 3: pools[0].cores: must be a number of at least 0"),
        ("256G", "256X", "line 3: pools[0].memory: '256X' is not a size"),
        ("name: gpu, ", "", "line 4: pools[1]: lacks the key 'name'"),
        ("name: gpu", "name: cpu", "line 4: pools[1].name: the name 'cpu' comes twice"),
        ("cores: 16, memory: 64G}", "cores: 99, memory: 64G}", "pools[0].node: a node must not be larger"),
        ("policy: fair", "policy: free", "line 7: queues.policy: 'free' is not a policy"),
        ("name: others", "name: physics", "queues.children[0].children[1].name: the name 'physics' comes twice"),
        ("cores: 8}", "cores: 99}", "queues.children[1].guaranteed"),
        ("cores: 8}", "cores: 60}", "add up to more than"),
        ("cores: 50%, memory", "cores: 150%, memory", "must not be above 100%"),
        ("weight: 2", "weight: 0", "children[0].children[0].weight"),
        (
            "title: Small",
            "titel: Small",
            "line 17: profiles[0].titel: there is no such key; the known ones here are name",
        ),
        ("cores: 1, memory: 1536m", "cores: 0.5, memory: 1536m", "cores must be a whole number"),
        ("1536m", "100m", "at least 450m"),
        ("max: 8", "max: 0", "line 19: profiles[0].executors.max"),
        ("min: 0, max: 8", "min: 9, max: 8", "min must not be above max"),
        ("cores: 4, memory: 16G", "cores: 17, memory: 16G", "fits in no pool's node"),
        ("gpus: 1}", "gpus: 8}", "fits in no pool's node"),
        ("min: 1, max: 2", "min: 5, max: 9", "more than the 4 that fit"),
        ("default: true", "default: maybe", "line 24: profiles[1].default: must be true or false"),
        ("gpu in [a100, h100]", "gpu in a100", "line 26: profiles[1].needs:"),
        ("spark.sql.shuffle.partitions", "spark.executor.instances", "the hub decides how many"),
        ("stop_after: 2h", "stop_after: soon", "line 27: rules.stop_after: 'soon' is not a time"),
        ("stop_after", "stopafter", "rules.stopafter: there is no such key"),
        ("lease: 90", "lease: 5", "line 28: lease: a lease of 5 s must be at least twice"),
        ("[spark.sql.*]", "['*']", "allowed_conf[0]: a pattern must start with 'spark.'"),
        ("clusters_per_user: 3", "clusters_per_user: 0", "must be a whole number from 1"),
        ("clusters_per_user: 3", "clusters_per_user: 3\nlease: 90", "this key comes twice"),
        ("clusters_per_user: 3", "  clusters_per_user: 3", "is not YAML"),
        ("clusters_per_user: 3", "- 3", "is not YAML"),
    ],
)
def test_a_mistake_is_told_with_line_and_key(old, new, says):
    assert WHOLE.count(old) >= 1
    with pytest.raises(ConfigError) as wrong:
        parse_site(WHOLE.replace(old, new, 1))
    assert says in str(wrong.value)
    assert str(wrong.value).startswith("emberhub.yaml, line ")


@pytest.mark.parametrize(
    "text", ["3", "[]", "pools: []", "profiles: []", "pools: 4", "queues: &a {name: x, children: [*a]}"]
)
def test_odd_documents_are_errors_and_nothing_worse(text):
    with pytest.raises(ConfigError):
        parse_site(text)


def test_what_is_refused_by_name_cannot_be_allowed_by_a_site():
    for pattern in REFUSED:
        key = pattern.replace("*", "x")
        assert check(key, "1", ("spark.*",)), key


def test_common_settings_are_allowed():
    for key in ("spark.sql.shuffle.partitions", "spark.sql.ansi.enabled", "spark.default.parallelism"):
        assert check(key, "8", ALLOWED) == ""


async def test_a_change_is_taken_over_without_a_restart(running, site):
    assert len((await running.call("GET", "api/profiles")).json["profiles"]) == 1
    site.set("cores: 4, memory: 4G", "cores: 8, memory: 8G")
    site.set("profiles: [", "profiles: [{name: other, executor: {cores: 2, memory: 2G}}, ")
    # By the watch itself, in its own time.
    _, driver = await running.start(executors={"min": 0, "max": 8})
    await driver.work(wanted=8)
    await driver.until(lambda d: len(d.executors) == 8)
    assert [p["name"] for p in (await running.call("GET", "api/profiles")).json["profiles"]] == ["other", "small"]
    assert running.backend.pools == {"main": Resources.of(cores=8, memory="8G")}


async def test_a_wrong_change_leaves_the_old_in_force_and_is_told_to_admins(running, site, caplog):
    good = site.yaml.read_text()
    site.set("cores: 4", "cores: four")
    await running.service.watch.look()
    admin = (await running.call("GET", "api/pool", who="admin")).json
    assert "line 2: pools[0].cores: must be a number" in admin["config_error"]
    assert "stays in force" in admin["config_error"]
    assert admin["pools"][0]["capacity"] == {"millicores": 4000, "memory": 4 << 30}
    assert (await running.call("GET", "api/pool")).json["config_error"] == ""
    assert "pools[0].cores" in caplog.text
    site.yaml.write_text(good + "\n")
    await running.service.watch.look()
    assert (await running.call("GET", "api/pool", who="admin")).json["config_error"] == ""


async def test_a_pool_in_use_cannot_be_taken_away(running, site):
    _, driver = await running.start()
    await driver.work(wanted=2)
    await driver.until(lambda d: len(d.executors) == 2)
    site.set("name: main", "name: other")
    await running.service.watch.look()
    assert (
        "cannot go while clusters run there"
        in (await running.call("GET", "api/pool", who="admin")).json["config_error"]
    )
    assert len(driver.executors) == 2


async def test_a_service_that_starts_on_a_wrong_file_uses_what_was_in_force(site):
    async with site.service() as first:
        assert first.service.state.config_error == ""
    good = site.yaml.read_text()
    site.yaml.write_text("pools: 3")
    async with site.service() as second:
        admin = (await second.call("GET", "api/pool", who="admin")).json
        assert "pools: must be a list" in admin["config_error"]
        assert second.service.state.site == parse_site(good)


async def test_a_change_that_the_backend_cannot_take_now_is_tried_again(running, site, monkeypatch):
    async def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(FakeBackend, "resize", full)
        site.set("cores: 4, memory: 4G", "cores: 8, memory: 8G")
        await running.service.watch.look()
        admin = (await running.call("GET", "api/pool", who="admin")).json
        assert "No space left on device. The configuration from before" in admin["config_error"]
        assert admin["pools"][0]["capacity"]["millicores"] == 4000
    await running.service.watch.look()
    admin = (await running.call("GET", "api/pool", who="admin")).json
    assert (admin["config_error"], admin["pools"][0]["capacity"]["millicores"]) == ("", 8000)

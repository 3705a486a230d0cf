"""Bad input and other people's clusters: a 4xx with one sentence, nothing started, nothing lost."""

import asyncio
import json
import socket

import pytest
from emberhub.wire import rest
from emberhub_service.api.routes import ROUTES

WRONG = [
    ({"profile": "huge"}, 400, "There is no profile 'huge' for you; the profiles are: small."),
    ({"executors": {"min": 5, "max": 2}}, 400, "executors (5, 2) has its minimum above its maximum"),
    ({"executors": {"min": -1, "max": 2}}, 400, ">= 0"),
    ({"executors": {"min": 0, "max": 10**30}}, 400, "executors.max"),
    ({"executors": {"min": 0, "max": 10_001}}, 400, "<= 10000"),
    ({"executors": {"min": 0, "max": 0}}, 400, "at least 1"),
    ({"executors": {"min": 5, "max": 9}}, 400, "more than the 4 that there are"),
    ({"executors": {"min": 1.5, "max": 2}}, 400, "executors.min"),
    ({"executors": [0, 4]}, 400, "executors"),
    ({"executors": {"min": 0}}, 400, "max"),
    ({"conf": {"spark.master": "local[*]"}}, 400, "spark.master"),
    ({"conf": {"spark.dynamicAllocation.enabled": "true"}}, 400, "the hub decides how many executors"),
    ({"conf": {"spark.executor.instances": "9"}}, 400, "the hub decides how many executors"),
    ({"conf": {"spark.executor.cores": "9"}}, 400, "choose another profile"),
    ({"conf": {"spark.executor.memory": "9g"}}, 400, "choose another profile"),
    ({"conf": {"spark.plugins": "x.Y"}}, 400, "load code"),
    ({"conf": {"spark.connect.grpc.binding.port": "1"}}, 400, "keeps users apart"),
    ({"conf": {"spark.authenticate": "false"}}, 400, "keeps users apart"),
    ({"conf": {"spark.authenticate.secret": "x"}}, 400, "keeps users apart"),
    ({"conf": {"spark.driver.extraJavaOptions": "-Dx"}}, 400, "spark.driver.extraJavaOptions"),
    ({"conf": {"spark.executor.extraJavaOptions": "-Dx"}}, 400, "load code"),
    ({"conf": {"spark.executor.extraClassPath": "/tmp"}}, 400, "load code"),
    ({"conf": {"spark.kubernetes.namespace": "x"}}, 400, "where a cluster runs"),
    ({"conf": {"spark.jars.packages": "x"}}, 400, "load code"),
    ({"conf": {"spark.submit.deployMode": "cluster"}}, 400, "where a cluster runs"),
    ({"conf": {"spark.sql.warehouse.dir": "/"}}, 400, "spark.sql.warehouse.dir"),
    ({"conf": {"SPARK.MASTER": "x"}}, 400, "keys start with 'spark.'"),
    ({"conf": {"spark.Master": "x"}}, 400, "cannot be set"),
    ({"conf": {"spark.hadoop.fs.s3a.access.key": "x"}}, 400, "not among those that this site allows"),
    ({"conf": {"no.spark": "x"}}, 400, "keys start with 'spark.'"),
    ({"conf": {"spark.sql.shuffle.partitions": 8}}, 400, "conf"),
    ({"conf": {"spark.sql.x": "a\nspark.master b"}}, 400, "line break"),
    ({"conf": {f"spark.sql.k{i}": "1" for i in range(101)}}, 400, "100"),
    ({"conf": {"spark.sql.x": "y" * 4001}}, 400, "4000"),
    ({"name": "Main"}, 400, "name"),
    ({"name": ""}, 400, "name"),
    ({"name": "../etc"}, 400, "name"),
    ({"name": "main\n"}, 400, "name"),
    ({"name": "x" * 41}, 400, "name"),
    ({"executor": 4}, 400, "Its fields are: name, profile, executors, conf."),
    ([], 400, "object"),
    (None, 400, "not JSON"),
]


async def nothing_was_started(running):
    assert running.backend.started == []
    assert (await running.call("GET", "api/clusters")).json == {"clusters": []}


@pytest.mark.parametrize(("body", "status", "says"), WRONG, ids=[str(body)[:50] for body, _, _ in WRONG])
async def test_a_wrong_request_is_told_in_one_sentence(running, body, status, says):
    answer = await running.call("POST", "api/clusters", body, raw="" if body is None else None)
    assert answer.status == status
    assert says in answer.message
    assert "Traceback" not in answer.message
    await nothing_was_started(running)


@pytest.mark.parametrize("raw", [b"{", b"\xff\xfe", b"null", b'{"name": "main"} extra', b"[" * 50_000, b'"' * 9])
async def test_a_body_that_is_not_json_is_refused(running, raw):
    answer = await running.call("POST", "api/clusters", raw=raw)
    assert answer.status == 400
    assert answer.message
    await nothing_was_started(running)


@pytest.mark.parametrize("size", [rest.MAX_BODY + 1, 10 << 20])
async def test_a_body_that_is_too_large_is_refused_with_a_sentence(running, size):
    answer = await running.call("POST", "api/clusters", raw=b'{"name": "' + b"x" * size + b'"}')
    assert (answer.status, answer.message) == (413, "The body is larger than 64 KiB; send less.")
    await nothing_was_started(running)


async def test_a_large_body_in_chunks_without_a_length_is_refused_too(running):
    with socket.create_connection(("127.0.0.1", running.service.port)) as raw:
        raw.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=raw.dup())
        writer.write(
            f"POST {running.service.prefix}api/clusters HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            "Authorization: token alice-token\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        for _ in range(160):
            writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        answered = await reader.read()
        writer.close()
        await writer.wait_closed()
    head, _, body = answered.partition(b"\r\n\r\n")
    assert b" 413 " in head.splitlines()[0]
    assert json.loads(body)["message"].startswith("The body is larger")


async def test_scaling_is_checked_as_well(running):
    cluster, _ = await running.start()
    answer = await running.call("PATCH", f"api/clusters/{cluster}", {"executors": {"min": 5, "max": 2}})
    assert (answer.status, "minimum above its maximum" in answer.message) == (400, True)
    answer = await running.call("PATCH", f"api/clusters/{cluster}", {"executors": {"min": 0, "max": 2}, "x": 1})
    assert answer.status == 400
    assert (await running.call("GET", f"api/clusters/{cluster}")).json["executors"] == {"min": 0, "max": 4}


@pytest.mark.parametrize("query", ["wait=x", "wait=-1", "wait=1e9", "wait=nan", "after=x", "wait=inf"])
async def test_a_wrong_query_is_refused(running, query):
    cluster, _ = await running.start()
    answer = await running.call("GET", f"api/clusters/{cluster}?{query}")
    assert answer.status == 400
    assert "must be a number" in answer.message


async def test_more_clusters_than_allowed_are_refused(running):
    await running.start(name="one")
    await running.start(name="two")
    answer = await running.call("POST", "api/clusters", {"name": "three"})
    assert answer.status == 409
    assert "one, two" in answer.message
    assert len(running.backend.started) == 2


async def test_unknown_addresses_and_methods_are_told(running):
    answer = await running.call("GET", "api/nothing")
    assert (answer.status, bool(answer.message)) == (404, True)
    answer = await running.call("PUT", "api/clusters", {})
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, POST")
    assert "use GET, POST" in answer.message


def filled(route, cluster):
    """The path of a route, about a cluster and its executor."""
    return route.path.replace("{id}", cluster).replace("{executor}", "3")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
async def test_every_route_says_who_may_come_in(running, route):
    path = filled(route, "c-0123456789abcdef")
    for operation in route.operations:
        nobody = await running.call(operation.method, path, {}, who="")
        unknown = await running.call(operation.method, path, {}, who="mallory")
        scopeless = await running.call(operation.method, path, {}, who="scopeless")
        if operation.public:
            assert (nobody.status, unknown.status, scopeless.status) == (200, 200, 200)
        else:
            assert (nobody.status, unknown.status, scopeless.status) == (401, 401, 403)
            assert all(answer.message for answer in (nobody, unknown, scopeless))


async def test_bob_gets_404_for_alices_cluster_on_every_route(running):
    cluster, driver = await running.start("alice")
    bodies = {"PATCH": {"executors": {"min": 0, "max": 1}}, "POST": {"wish": "later"}}
    tried = 0
    for route in ROUTES:
        if "{id}" not in route.path:
            continue
        for operation in route.operations:
            path = filled(route, cluster)
            there = await running.call(operation.method, path, bodies.get(operation.method), who="bob")
            nowhere = await running.call(
                operation.method,
                filled(route, "c-0000000000000000"),
                bodies.get(operation.method),
                who="bob",
            )
            # The same answer as for a cluster that does not exist.
            assert (there.status, there.text) == (404, nowhere.text)
            tried += 1
    assert tried >= 4
    assert driver.alive
    assert (await running.call("GET", "api/clusters", who="bob")).json == {"clusters": []}
    assert (await running.call("GET", "api/clusters?all=1", who="bob")).status == 403


async def test_a_service_of_the_same_name_is_not_the_user(running):
    cluster, _ = await running.start("alice")
    assert (await running.call("GET", f"api/clusters/{cluster}", who="robot")).status == 404
    assert (await running.call("GET", "api/clusters", who="robot")).json == {"clusters": []}
    assert (await running.call("POST", "api/clusters", {}, who="robot")).status == 403


async def test_admins_may_read_and_stop_but_not_connect(running):
    cluster, _ = await running.start("alice")
    assert (await running.call("GET", f"api/clusters/{cluster}", who="admin")).json["user"] == "alice"
    assert (await running.call("GET", "api/clusters?all=1", who="admin")).json["clusters"][0]["id"] == cluster
    assert (await running.call("GET", f"api/clusters/{cluster}/connection", who="admin")).status == 404
    assert (await running.call("DELETE", f"api/clusters/{cluster}", who="admin")).status == 200
    stopped = await running.until(cluster, lambda c: c["state"] == "stopped")
    assert stopped["message"] == "It was stopped by root."


async def test_only_admins_read_the_snapshot_and_scoped_tokens_the_metrics(running):
    assert (await running.call("GET", "api/pool/snapshot")).status == 403
    assert (await running.call("GET", "api/pool/snapshot", who="admin")).json["pools"][0]["name"] == "main"
    assert (await running.call("GET", "metrics")).status == 403
    assert "emberhub_plan_seconds" in (await running.call("GET", "metrics", who="robot")).text


async def test_a_token_in_an_address_is_refused_and_kept_out_of_the_log(running, caplog):
    answer = await running.call("GET", "api/clusters?token=alice-token", who="")
    assert answer.status == 400
    assert "never in an address" in answer.message
    assert "alice-token" not in caplog.text


async def test_no_token_reaches_a_log(running, caplog, site):
    cluster, driver = await running.start("alice")
    await driver.work(wanted=2)
    await running.until(cluster, lambda c: len(c["running"]) == 2)
    connection = (await running.call("GET", f"api/clusters/{cluster}/connection")).json
    assert connection["token"] == driver.spec.connect_token
    await running.call("DELETE", f"api/clusters/{cluster}")
    await running.until(cluster, lambda c: c["state"] == "stopped")
    assert "alice" in caplog.text
    for secret in (driver.spec.agent_token, driver.spec.connect_token, "alice-token", "service-token"):
        assert len(secret) > 8
        assert secret not in caplog.text
    stored = b"".join(file.read_bytes() for file in (site.path / "state").glob("emberhub.sqlite*"))
    assert driver.spec.agent_token.encode() not in stored


async def test_without_the_hub_people_are_asked_to_try_again(running, monkeypatch):
    monkeypatch.setattr(running.service.identity.auth, "api_url", "http://127.0.0.1:1/hub/api")
    answer = await running.call("GET", "api/clusters", who="dave")
    assert (answer.status, answer.message) == (
        503,
        "The hub cannot be asked who you are at the moment; try again soon.",
    )


async def test_a_cluster_that_runs_is_found_again_though_its_profile_is_gone(running, site):
    cluster, _ = await running.start()
    site.set("name: small", "name: other")
    await running.service.watch.look()
    found = await running.call("POST", "api/clusters", {})
    assert (found.status, found.json["id"]) == (200, cluster)
    await running.call("DELETE", f"api/clusters/{cluster}")
    await running.until(cluster, lambda c: c["state"] == "stopped")
    refused = await running.call("POST", "api/clusters", {})
    assert (refused.status, refused.message) == (400, "There is no profile 'small' for you; the profiles are: other.")


async def test_of_clusters_that_have_ended_only_the_latest_are_remembered(running, monkeypatch):
    monkeypatch.setattr("emberhub_service.control.requests._KEPT_ENDED", 2)
    await running.start(name="kept")
    for number in range(5):
        made = (await running.call("POST", "api/clusters", {"name": f"n{number}"})).json["id"]
        await running.call("DELETE", f"api/clusters/{made}")
        await running.until(made, lambda c: c["state"] == "stopped")
    listed = (await running.call("GET", "api/clusters")).json["clusters"]
    assert [each["name"] for each in listed] == ["kept", "n2", "n3", "n4"]

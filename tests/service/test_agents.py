"""The agents' socket: who is let in, who is sent away, and what broken messages do."""

import pytest
from emberhub.wire import agent
from emberhub_spawner.fake import Script
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect


@pytest.fixture
def site(site):
    site.script = lambda spec: Script(connect=False)
    return site


async def a_driver(running):
    """A cluster whose driver has not called yet, and its spec."""
    answer = await running.call("POST", "api/clusters", {})
    cluster = answer.json["id"]
    await running.until(cluster, lambda c: c["state"] == "starting")
    return running.backend.drivers[cluster].spec


def connect(running, spec, *, query="", **changes):
    headers = {
        agent.HEADER_CLUSTER: spec.cluster,
        agent.HEADER_GENERATION: str(spec.generation),
        agent.HEADER_PROTOCOL: "1",
        "Authorization": f"Bearer {spec.agent_token}",
        **changes,
    }
    return websocket_connect(HTTPRequest(spec.agent_url + query, headers={k: v for k, v in headers.items() if v}))


async def close_code(connection):
    while await connection.read_message() is not None:
        pass
    connection.close()
    return connection.close_code


async def test_a_driver_is_welcomed_and_heard(running):
    spec = await a_driver(running)
    connection = await connect(running, spec)
    welcome = agent.decode_from_service(await connection.read_message())
    assert welcome == agent.Welcome(lease=3.0, heartbeat=0.5, floor=0)
    await connection.write_message(
        agent.encode(agent.Report(wanted=0, target=0, endpoint=agent.Endpoint("127.0.0.1", 1234)))
    )
    view = await running.until(spec.cluster, lambda c: c["ready"])
    assert view["state"] == "running"
    answer = await running.call("GET", f"api/clusters/{spec.cluster}/connection")
    assert answer.json == {"host": "127.0.0.1", "port": 1234, "token": spec.connect_token}
    connection.close()
    await running.until(spec.cluster, lambda c: c["state"] == "disconnected")


async def test_an_unknown_version_is_told(running):
    spec = await a_driver(running)
    connection = await connect(running, spec, **{agent.HEADER_PROTOCOL: "2"})
    assert await close_code(connection) == agent.CLOSE_PROTOCOL


@pytest.mark.parametrize("changes", [{agent.HEADER_GENERATION: "0"}, {agent.HEADER_CLUSTER: "c-0"}])
async def test_an_earlier_or_unknown_driver_is_sent_away_for_good(running, changes):
    spec = await a_driver(running)
    connection = await connect(running, spec, **changes)
    assert await close_code(connection) == agent.CLOSE_SUPERSEDED


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"Authorization": "Bearer wrong"}, 403),
        ({"Authorization": "Bearer alice-token"}, 403),
        ({"Authorization": ""}, 401),
        ({agent.HEADER_GENERATION: "one"}, 401),
        ({"Origin": "http://127.0.0.1"}, 403),
    ],
)
async def test_without_the_right_token_no_socket_opens(running, changes, status):
    spec = await a_driver(running)
    with pytest.raises(HTTPClientError) as refused:
        await connect(running, spec, **changes)
    assert refused.value.code == status


async def test_a_token_in_the_address_opens_nothing(running):
    spec = await a_driver(running)
    with pytest.raises(HTTPClientError) as refused:
        await connect(running, spec, query=f"?token={spec.agent_token}")
    assert refused.value.code == 400


async def test_the_connect_token_is_no_agent_token(running):
    spec = await a_driver(running)
    with pytest.raises(HTTPClientError) as refused:
        await connect(running, spec, Authorization=f"Bearer {spec.connect_token}")
    assert refused.value.code == 403


async def test_a_second_connection_of_the_same_driver_takes_over(running):
    spec = await a_driver(running)
    first = await connect(running, spec)
    second = await connect(running, spec)
    assert await close_code(first) == 1000
    await second.write_message(
        agent.encode(agent.Report(wanted=0, target=0, endpoint=agent.Endpoint("127.0.0.1", 1234)))
    )
    await running.until(spec.cluster, lambda c: c["ready"])
    second.close()


@pytest.mark.parametrize("message", ["{", '{"type":"Nonsense"}', '{"type":"Report"}', "[" * 100_000, b"\xff\x00"])
async def test_a_message_that_cannot_be_read_ends_the_connection_alone(running, message):
    spec = await a_driver(running)
    connection = await connect(running, spec)
    await connection.write_message(message, binary=isinstance(message, bytes))
    assert await close_code(connection) == agent.CLOSE_PROTOCOL
    assert (await running.call("GET", "health")).status == 200


async def test_a_silent_driver_counts_as_disconnected(running):
    spec = await a_driver(running)
    connection = await connect(running, spec)
    await connection.write_message(
        agent.encode(agent.Report(wanted=0, target=0, endpoint=agent.Endpoint("127.0.0.1", 1234)))
    )
    await running.until(spec.cluster, lambda c: c["ready"])
    await running.until(spec.cluster, lambda c: c["state"] == "disconnected")
    await close_code(connection)

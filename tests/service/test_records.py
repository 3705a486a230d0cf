"""Records: compare-and-set, the table of transitions, and migrations that agree with the model."""

import asyncio
import sqlite3
import stat
from contextlib import closing

import msgspec
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from emberhub.wire.resources import Resources
from emberhub_service.control.journal import Journal
from emberhub_service.records import (
    TRANSITIONS,
    ClusterRecord,
    Conflict,
    Event,
    RecordsUnavailable,
    UserRecord,
    metadata,
    open_records,
)

from tests.support.spark import eventually


def a_record(**changes):
    record = ClusterRecord(
        id="c-1",
        user="alice",
        name="main",
        profile="small",
        queue="class",
        pool="main",
        executor=Resources.of(cores=1, memory="1G"),
        floor=0,
        ceiling=4,
        conf={"spark.sql.shuffle.partitions": "8"},
        status="pending",
        goal="running",
        generation=0,
        agent_token_hash="",
        connect_token="secret-connect",
        created=1000.5,
        started=0.0,
        last_active=1000.5,
        message="",
        restarted="",
        version=1,
    )
    return msgspec.structs.replace(record, **changes)


@pytest.fixture
def records(tmp_path):
    store = open_records(f"sqlite:///{tmp_path}/emberhub.sqlite")
    yield store
    store.close()


def test_what_was_written_is_read_back_whole(records):
    records.insert(a_record())
    assert records.cluster("c-1") == a_record()
    assert records.clusters() == [a_record()]
    assert records.cluster("c-2") is None


def test_the_second_of_two_writers_is_told(records):
    record = records.insert(a_record())
    first = records.update(record, ceiling=8)
    assert (first.ceiling, first.version) == (8, 2)
    with pytest.raises(Conflict, match="somebody else"):
        records.update(record, ceiling=2)
    assert records.cluster("c-1").ceiling == 8


def test_a_user_has_one_cluster_of_a_name(records):
    records.insert(a_record())
    with pytest.raises(Conflict, match="already has"):
        records.insert(a_record(id="c-2"))
    records.insert(a_record(id="c-3", user="bob"))


def test_only_ways_in_the_table_may_be_taken(records):
    for start, ways in TRANSITIONS.items():
        for end in TRANSITIONS:
            record = a_record(id=f"{start}-{end}", name=f"{start}-{end}", status=start)
            records.insert(record)
            if end in ways or end == start:
                assert records.update(record, status=end).status == end
            else:
                with pytest.raises(Conflict, match=f"from {start} to {end}"):
                    records.update(record, status=end)


def test_what_is_remembered_of_users_is_replaced(records):
    records.remember([UserRecord("alice", 1.5, 2.0, 10.0), UserRecord("bob", 0.0, 0.0, 10.0)])
    records.remember([UserRecord("alice", -3.0, 4.0, 20.0)])
    assert records.users() == {
        "alice": UserRecord("alice", -3.0, 4.0, 20.0),
        "bob": UserRecord("bob", 0.0, 0.0, 10.0),
    }


def test_events_are_read_backwards_and_only_so_many_are_kept(records):
    def event(number):
        return Event(number, 10.0, "grant", "", "alice", "c-1", "main", "class", "C", "Two granted.")

    records.write_events(map(event, range(1, 8)), keep=5)
    records.write_events([], keep=5)
    records.write_events([event(8)], keep=5)
    assert [each.id for each in records.events(None, 3)] == [8, 7, 6]
    assert records.events(6, 10) == [event(5), event(4)]


def test_migrations_from_nothing_lead_to_the_model(records):
    with records.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert sa.inspect(connection).has_table("clusters")


def test_opening_again_keeps_what_is_there(tmp_path):
    url = f"sqlite:///{tmp_path}/emberhub.sqlite"
    store = open_records(url)
    store.insert(a_record())
    store.close()
    again = open_records(url)
    assert again.cluster("c-1") == a_record()
    again.close()


def test_the_database_is_private_since_it_holds_connect_tokens(tmp_path):
    store = open_records(f"sqlite:///{tmp_path}/emberhub.sqlite")
    store.insert(a_record())
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    store.close()
    assert modes
    assert set(modes.values()) == {0o600}, modes


def test_a_record_never_shows_its_tokens():
    assert "secret" not in repr(a_record())


def test_records_that_somebody_has_locked_are_told_as_such_and_not_waited_for_as_long_as_a_lease(tmp_path):
    url = f"sqlite:///{tmp_path / 'e.sqlite'}"
    store = open_records(url)
    try:
        with closing(sqlite3.connect(tmp_path / "e.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(RecordsUnavailable, match=r"locked.*try again soon"):
                store.remember([UserRecord("alice", 1.0, 2.0, 3.0)])
            assert store.users() == {}
        store.remember([UserRecord("alice", 1.0, 2.0, 3.0)])
        assert store.users() == {"alice": UserRecord("alice", 1.0, 2.0, 3.0)}
    finally:
        store.close()


def test_events_whose_write_was_lost_sight_of_are_written_again(records):
    first, second = [Event(n, 10.0, "grant", "", "alice", "c-1", "main", "class", "C", "One granted.") for n in (1, 2)]
    records.write_events([first], keep=5)
    records.write_events([first, second], keep=5)
    assert records.events(None, 5) == [second, first]


async def test_after_a_fault_events_are_written_all_the_same(records, monkeypatch):
    monkeypatch.setattr("emberhub_service.control.journal.BATCH", 0.01)
    write, tries = records.write_events, []

    def fail_once(new, keep):
        tries.append(list(new))
        if len(tries) == 1:
            raise RuntimeError("who could have thought of that")
        write(tries[-1], keep)

    monkeypatch.setattr(records, "write_events", fail_once)
    journal = Journal(records, lambda: 10.0)
    writing = asyncio.create_task(journal.run())
    try:
        journal.note("site", "A changed configuration is in force.")
        await eventually(lambda: records.events(None, 5), "it is written")
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
    assert len(tries) == 2

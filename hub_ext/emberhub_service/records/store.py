"""Reading and writing the records. Every write of a cluster is compare-and-set on its version."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from emberhub.errors import EmberhubError

from .model import (
    TRANSITIONS,
    ClusterRecord,
    Event,
    SessionRecord,
    UserRecord,
    clusters,
    events,
    queue_changes,
    sessions,
    users,
)

_MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY = 1.0
"""Seconds to wait for another process's lock on a SQLite file: nothing else happens meanwhile, so not for long."""


class Conflict(Exception):
    """Somebody else wrote this record first, or it may not change in this way: read it again and decide anew."""


class RecordsUnavailable(EmberhubError):
    """The database cannot be read or written at the moment; what was to be written is not."""


class Records:
    """The records of one service. Calls are short and block; they are made from one thread."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    def close(self) -> None:
        """Let go of the database."""
        self.engine.dispose()

    # --- clusters ---

    def clusters(self) -> list[ClusterRecord]:
        """Every cluster, oldest first."""
        with self.engine.connect() as connection:
            rows = connection.execute(sa.select(clusters).order_by(clusters.c.created, clusters.c.id))
            return [_record(row) for row in rows]

    def cluster(self, cluster: str) -> ClusterRecord | None:
        """One cluster."""
        with self.engine.connect() as connection:
            row = connection.execute(sa.select(clusters).where(clusters.c.id == cluster)).first()
        return None if row is None else _record(row)

    def insert(self, record: ClusterRecord) -> ClusterRecord:
        """A new cluster. Raises Conflict if its user has one of this name."""
        try:
            with self.engine.begin() as connection:
                connection.execute(clusters.insert().values(**_values(record)))
        except sa.exc.IntegrityError:
            raise Conflict(f"{record.user} already has a cluster named {record.name}") from None
        return record

    def update(self, record: ClusterRecord, **changes: Any) -> ClusterRecord:
        """Write `changes` if nobody wrote since `record` was read; returns the record as it is now.

        Raises Conflict if somebody did, or if `TRANSITIONS` knows no way from its status to the new one.
        """
        changed = _changed(record, changes)
        with self.engine.begin() as connection:
            _write(connection, record, changed)
        return changed

    def take_over(self, record: ClusterRecord, warm: ClusterRecord, **changes: Any) -> ClusterRecord:
        """As `update`, and in the same transaction the warm driver's own record goes.

        Raises Conflict also if the warm driver was changed or taken meanwhile.
        """
        changed = _changed(record, changes)
        with self.engine.begin() as connection:
            _write(connection, record, changed)
            _delete(connection, warm)
        return changed

    def delete(self, record: ClusterRecord) -> None:
        """Remove a record. Raises Conflict if somebody wrote it since `record` was read."""
        with self.engine.begin() as connection:
            _delete(connection, record)

    def latest(self) -> float:
        """The latest time that is written down anywhere; 0 if none is."""
        columns = (clusters.c.created, clusters.c.started, clusters.c.last_active, users.c.updated)
        with self.engine.connect() as connection:
            return max(connection.scalar(sa.select(sa.func.max(column))) or 0.0 for column in columns)

    # --- Livy sessions ---

    def sessions(self, user: str) -> list[SessionRecord]:
        """One user's, oldest first."""
        with self.engine.connect() as connection:
            rows = connection.execute(sa.select(sessions).where(sessions.c.user == user).order_by(sessions.c.id))
            return [SessionRecord(*row) for row in rows]

    def insert_session(self, session: SessionRecord) -> SessionRecord:
        """A new one; its id is given here."""
        values = {name: value for name, value in msgspec.structs.asdict(session).items() if name != "id"}
        with self.engine.begin() as connection:
            made = connection.execute(sessions.insert().values(**values)).inserted_primary_key
        assert made is not None
        return msgspec.structs.replace(session, id=made[0])

    def delete_sessions(self, ids: Iterable[int]) -> None:
        """Remove these; those that are gone are passed over."""
        with self.engine.begin() as connection:
            connection.execute(sessions.delete().where(sessions.c.id.in_(list(ids))))

    # --- users ---

    def users(self) -> dict[str, UserRecord]:
        """What is remembered of every user."""
        with self.engine.connect() as connection:
            return {row.name: UserRecord(*row) for row in connection.execute(sa.select(users))}

    def remember(self, remembered: Iterable[UserRecord]) -> None:
        """Write what is known of these users now."""
        rows = [msgspec.structs.asdict(user) for user in remembered]
        if not rows:
            return
        with self.engine.begin() as connection:
            connection.execute(users.delete().where(users.c.name.in_([row["name"] for row in rows])))
            connection.execute(users.insert(), rows)

    # --- queues ---

    def queue_changes(self) -> dict[str, dict[str, Any]]:
        """By queue, what was changed of its settings."""
        with self.engine.connect() as connection:
            return {row.queue: row.settings for row in connection.execute(sa.select(queue_changes))}

    def change_queue(self, queue: str, settings: Mapping[str, Any]) -> None:
        """From now on, these settings of the queue are changed, and no others."""
        with self.engine.begin() as connection:
            connection.execute(queue_changes.delete().where(queue_changes.c.queue == queue))
            if settings:
                connection.execute(queue_changes.insert().values(queue=queue, settings=dict(settings)))

    # --- events ---

    def events(self, before: int | None, most: int) -> list[Event]:
        """The latest events of those before this id, or of all; the latest first."""
        asked = sa.select(events).order_by(events.c.id.desc()).limit(most)
        if before is not None:
            asked = asked.where(events.c.id < before)
        with self.engine.connect() as connection:
            return [Event(*row) for row in connection.execute(asked)]

    def write_events(self, new: Iterable[Event], keep: int) -> None:
        """Add events with successive ids, and drop the oldest beyond `keep`.

        They replace those of their ids, if a write was lost sight of just as it was done.
        """
        rows = [msgspec.structs.asdict(event) for event in new]
        if not rows:
            return
        with self.engine.begin() as connection:
            connection.execute(events.delete().where(events.c.id >= rows[0]["id"]))
            connection.execute(events.insert(), rows)
            connection.execute(events.delete().where(events.c.id <= rows[-1]["id"] - keep))


def open_records(url: str) -> Records:
    """Connect, and bring the tables to this version's form. SQLite files are made private to the present user."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database not in (None, "", ":memory:"):
        path = Path(str(parsed.database))
        path.parent.mkdir(parents=True, exist_ok=True)
        # Made before SQLite opens it, so that its journals are born with the same mode.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        path.chmod(0o600)
        engine = sa.create_engine(parsed, connect_args={"timeout": _BUSY})
        sa.event.listen(engine, "connect", _set_up_sqlite)
    else:
        engine = sa.create_engine(parsed, pool_pre_ping=True)
    sa.event.listen(engine, "handle_error", _tell)
    try:
        migrate(engine)
    except BaseException:
        engine.dispose()
        raise
    return Records(engine)


def migrate(engine: sa.Engine) -> None:
    """Run the migrations that this database has not seen."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _tell(context: sa.engine.ExceptionContext) -> None:
    """Locked, full, away: whatever is wrong with the database itself, and with nothing that was written to it."""
    if isinstance(context.sqlalchemy_exception, sa.exc.OperationalError):
        raise RecordsUnavailable(
            f"The service's records cannot be written at the moment ({context.original_exception}); try again soon, and"
            " tell your administrator if it stays so."
        ) from context.original_exception


def _set_up_sqlite(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # With WAL, this loses nothing when the process dies; only a power cut may cost the last writes.
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _changed(record: ClusterRecord, changes: dict[str, Any]) -> ClusterRecord:
    status = changes.get("status", record.status)
    if status != record.status and status not in TRANSITIONS[record.status]:
        raise Conflict(f"cluster {record.id} cannot go from {record.status} to {status}")
    return msgspec.structs.replace(record, **changes, version=record.version + 1)


def _write(connection: sa.Connection, record: ClusterRecord, changed: ClusterRecord) -> None:
    same = sa.and_(clusters.c.id == record.id, clusters.c.version == record.version)
    if connection.execute(clusters.update().where(same).values(**_values(changed))).rowcount != 1:
        raise Conflict(f"cluster {record.id} was changed by somebody else")


def _delete(connection: sa.Connection, record: ClusterRecord) -> None:
    same = sa.and_(clusters.c.id == record.id, clusters.c.version == record.version)
    if connection.execute(clusters.delete().where(same)).rowcount != 1:
        raise Conflict(f"cluster {record.id} was changed by somebody else")


def _values(record: ClusterRecord) -> dict[str, Any]:
    values = msgspec.structs.asdict(record)
    values["executor"] = msgspec.to_builtins(record.executor)
    return values


def _record(row: sa.Row[Any]) -> ClusterRecord:
    # The struct's fields stand in the order of the table's columns.
    return msgspec.convert(dict(zip(ClusterRecord.__struct_fields__, row, strict=True)), ClusterRecord)

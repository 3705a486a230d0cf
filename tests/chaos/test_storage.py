"""The database is locked by somebody, and the disk is full."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import emberhub
import pytest

from tests.support.hub import Work, a_site, doze
from tests.support.site import Site

from .conftest import same, soon

pytestmark = [pytest.mark.spark, pytest.mark.chaos, pytest.mark.long, pytest.mark.timeout(300)]

SITE = a_site(2, "rules: {min_hold: 1s, idle_after: 2s, reclaim_notice: 1s}\nlease: 60s\nheartbeat: 1s\n")
ROOM = 24 << 20
"""Bytes of the small disk: some ten times what a site with one cluster writes in a test."""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory that holds 24 MiB."""
    directory = tmp_path_factory.mktemp("storage")
    (directory / "state").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={ROOM},mode=700", "tmpfs", str(directory / "state")]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield directory
    finally:
        subprocess.run(["umount", str(directory / "state")], check=True)


@pytest.fixture
def full(site: Site) -> Iterator[Path]:
    """The disk is full to the last byte; remove the file, and it has room again."""
    filler = site.state / "filler"
    yield filler
    filler.unlink(missing_ok=True)


def fill(filler: Path) -> None:
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError as error:
            assert "No space left" in str(error)


def test_while_the_records_are_locked_work_goes_on_and_changes_are_refused_in_plain_words(
    site: Site, whole: None
) -> None:
    alice, bob = site.person("alice"), site.person("bob")
    hers = alice.cluster()
    work = Work(hers, 16, 0.25, again=True, query=doze)
    soon(lambda: len(alice.see(hers).running) == 2, "both executors run")
    before = {each.id for each in alice.see(hers).running}
    with closing(sqlite3.connect(site.state / "emberhub.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(emberhub.ServiceUnavailable) as told:
            bob.cluster(wait=False, timeout=2)
        assert "records cannot be written" in str(told.value)
        assert "try again" in str(told.value)
        with pytest.raises(emberhub.ServiceUnavailable, match="records cannot be written"):
            hers._service.send("PATCH", f"clusters/{hers.id}", bytes, {"executors": {"min": 0, "max": 1}}, patience=0)
        done = work.queries
        soon(lambda: work.queries > done + 1 and work.running(), "queries go on")
        assert {each.id for each in alice.see(hers).running} == before
        # A driver dies meanwhile: its executors are free at once, and why it died is told when it can be written.
        site.running("driver", hers)[0].kill()
        soon(lambda: not site.snapshot().clusters, "what it had is free")
        other.execute("ROLLBACK")
    soon(lambda: alice.see(hers).state == "failed", "the record follows")
    assert "killed" in hers.why()
    his = bob.cluster()
    assert doze(his, 6, 0.1) == 15


def test_on_a_full_disk_what_runs_goes_on_and_what_cannot_start_says_why(site: Site, whole: None, full: Path) -> None:
    alice, bob = site.person("alice"), site.person("bob")
    hers = alice.cluster()
    work = Work(hers, 16, 0.25, again=True, query=doze)
    soon(lambda: len(alice.see(hers).running) == 2, "both executors run")
    fill(full)
    with pytest.raises(emberhub.EmberhubError) as told:
        bob.cluster(timeout=10)
    assert "records cannot be written" in str(told.value) or "No space left" in str(told.value), told.value
    assert "administrator" in str(told.value), told.value
    done = work.queries
    soon(lambda: work.queries > done + 1 and work.running(), "queries that need no disk go on")
    assert same(site, hers)

    full.unlink()
    work.finish()
    assert doze(bob.cluster(), 6, 0.1) == 15


def test_a_service_that_finds_the_disk_full_says_so_and_the_next_one_finds_its_drivers(
    site: Site, whole: None, full: Path
) -> None:
    alice = site.person("alice")
    hers = alice.cluster()
    generation = alice.see(hers).generation
    work = Work(hers, 16, 0.25, again=True, query=doze)
    soon(lambda: len(alice.see(hers).running) == 2, "both executors run")
    fill(full)
    site.process.kill()
    site.process.wait(60)
    said = site.log.stat().st_size
    if site.launch().poll() is None:
        # It may find room for what it writes itself; then it serves.
        soon(lambda: site.process.poll() is not None or site.answers(), "it serves, or has ended")
    if site.process.poll() is not None:
        words = site.log.read_bytes()[said:].decode()
        assert "has room" in words or "cannot be written" in words, words
        assert "Traceback" not in words, words
    full.unlink()
    if site.process.poll() is not None:
        site.restart()
    soon(lambda: alice.see(hers).state == "running", "the driver is heard again")
    assert work.running()
    work.finish()
    assert alice.see(hers).generation == generation

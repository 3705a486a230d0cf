"""Livy sessions of a driver: order, cancelling, what is kept, and ends; over interpreters that the test speaks for."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from emberhub.wire import agent, livy
from emberhub_driver.interpreter import Done, Execute, Interrupt, Progress, Ready
from emberhub_driver.sessions import Sessions

from tests.support.interpreters import FakeInterpreter


class Driver:
    """The sessions of one driver, at a time that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0
        self.interpreters: dict[int, FakeInterpreter] = {}
        self.sessions = Sessions(self._start, lambda: self.now)

    def _start(self, session: int, listener: Any) -> FakeInterpreter:
        self.interpreters[session] = FakeInterpreter(listener)
        return self.interpreters[session]

    def ask(self, about: livy.AnyAsk, session: int = 1, status: int = 200) -> Any:
        answer = self.sessions.answer(agent.Question(7, session, about))
        assert (answer.number, answer.status) == (7, status), bytes(answer.body)
        return msgspec.json.decode(agent.encode(answer), type=dict)["body"]

    def begin(self, session: int = 1, timeout: float = 0.0) -> FakeInterpreter:
        """A session that takes statements."""
        self.ask(livy.Show(timeout), session)
        self.interpreters[session].listener.hear(Ready())
        return self.interpreters[session]

    def state(self, session: int = 1) -> str:
        return str(self.ask(livy.Show(), session)["state"])

    def states(self) -> list[str]:
        return [each["state"] for each in self.ask(livy.List())["statements"]]


@pytest.fixture
def driver() -> Driver:
    return Driver()


def done(number: int, text: str = "") -> Done:
    return Done(number, livy.Output("ok", number, data={"text/plain": text}))


def test_an_interpreter_is_started_when_somebody_first_asks_about_the_session(driver: Driver) -> None:
    assert driver.interpreters == {}
    assert driver.ask(livy.Show())["state"] == "starting"
    assert driver.ask(livy.Show())["state"] == "starting"
    assert list(driver.interpreters) == [1]
    driver.interpreters[1].listener.hear(Ready())
    assert driver.state() == "idle"


def test_statements_run_one_after_another_in_the_order_in_which_they_came(driver: Driver) -> None:
    interpreter = driver.begin()
    first = driver.ask(livy.Run("a"), status=201)
    assert (first["id"], first["state"], first["output"]) == (0, "running", None)
    assert driver.ask(livy.Run("select 1", "sql"), status=201)["state"] == "waiting"
    assert interpreter.orders == [Execute(0, "a", "pyspark")]
    assert driver.sessions.busy
    interpreter.listener.hear(Progress(0, 0.25))
    assert driver.ask(livy.Read(0))["progress"] == 0.25
    assert driver.state() == "busy"
    interpreter.listener.hear(done(0, "A"))
    assert driver.ask(livy.Read(0))["output"] == {"status": "ok", "execution_count": 0, "data": {"text/plain": "A"}}
    assert interpreter.orders[1:] == [Execute(1, "select 1", "sql")]
    interpreter.listener.hear(done(1))
    assert driver.states() == ["available", "available"]
    assert driver.state() == "idle"
    assert not driver.sessions.busy


def test_what_is_sent_while_the_session_starts_runs_once_it_is_ready(driver: Driver) -> None:
    driver.ask(livy.Show())
    driver.ask(livy.Run("a"), status=201)
    assert driver.interpreters[1].orders == []
    driver.interpreters[1].listener.hear(Ready())
    assert driver.interpreters[1].orders == [Execute(0, "a", "pyspark")]


def test_a_statement_that_waits_is_cancelled_at_once_and_one_that_runs_when_it_has_stopped(driver: Driver) -> None:
    interpreter = driver.begin()
    for code in ("a", "b", "c"):
        driver.ask(livy.Run(code), status=201)
    driver.ask(livy.Cancel(1))
    driver.ask(livy.Cancel(0))
    assert driver.states() == ["cancelling", "cancelled", "waiting"]
    assert interpreter.orders[1:] == [Interrupt(0)]
    driver.ask(livy.Cancel(0))
    assert interpreter.orders[1:] == [Interrupt(0)], "it was told already"
    interpreter.listener.hear(Done(0, livy.Output("error", ename="KeyboardInterrupt", evalue="", traceback=())))
    assert driver.states() == ["cancelled", "cancelled", "running"]
    assert driver.ask(livy.Read(0))["output"]["evalue"] == "The statement was cancelled."


def test_a_statement_that_was_done_before_it_could_be_cancelled_keeps_its_result(driver: Driver) -> None:
    interpreter = driver.begin()
    driver.ask(livy.Run("a"), status=201)
    driver.ask(livy.Cancel(0))
    interpreter.listener.hear(done(0, "A"))
    assert driver.ask(livy.Read(0))["state"] == "available"
    driver.ask(livy.Cancel(0))
    assert driver.ask(livy.Read(0))["output"]["data"] == {"text/plain": "A"}


def test_sessions_do_not_wait_for_each_other(driver: Driver) -> None:
    one, two = driver.begin(1), driver.begin(2)
    driver.ask(livy.Run("a"), 1, 201)
    driver.ask(livy.Run("b"), 2, 201)
    assert (one.orders, two.orders) == ([Execute(0, "a", "pyspark")], [Execute(0, "b", "pyspark")])


def test_an_interpreter_that_dies_ends_the_session_and_says_why(driver: Driver) -> None:
    interpreter = driver.begin()
    driver.ask(livy.Run("a"), status=201)
    driver.ask(livy.Run("b"), status=201)
    interpreter.listener.ended("It was killed.")
    assert driver.states() == ["error", "error"]
    assert driver.ask(livy.Read(1))["output"]["evalue"] == "It was killed."
    seen = driver.ask(livy.Show())
    assert (seen["state"], seen["log"]) == ("dead", ["It was killed."])
    assert "start another" in driver.ask(livy.Run("c"), status=400)
    assert not driver.sessions.busy


def test_a_session_is_ended_when_nobody_asks_about_it_any_more_unless_it_works(driver: Driver) -> None:
    forgotten, working, patient = driver.begin(1, 60.0), driver.begin(2, 60.0), driver.begin(3, 0.0)
    driver.ask(livy.Run("a"), 2, 201)
    driver.now += 59
    driver.sessions.tend()
    assert not forgotten.ending
    driver.now += 2
    driver.sessions.resume()
    driver.sessions.tend()
    assert not forgotten.ending, "nobody could ask while the service was away"
    driver.now += 61
    driver.sessions.tend()
    assert (forgotten.ending, working.ending, patient.ending) == (True, False, False)
    forgotten.listener.ended("It has ended.")
    assert driver.ask(livy.Show())["log"] == ["Nobody asked about it any more, so the session was ended."]


def test_old_results_are_dropped_when_there_are_too_many(driver: Driver) -> None:
    interpreter = driver.begin()
    for number in range(20):
        driver.ask(livy.Run("a"), status=201)
        interpreter.listener.hear(done(number, "x" * livy.MAX_OUTPUT))
    assert "no longer kept" in driver.ask(livy.Read(0), status=404)
    assert driver.ask(livy.Read(19))["state"] == "available"
    listed = driver.ask(livy.List())
    assert listed["total_statements"] == 20
    assert len(msgspec.json.encode(listed)) < agent.MAX_MESSAGE


def test_the_log_is_read_by_line_and_has_an_end(driver: Driver) -> None:
    interpreter = driver.begin()
    for number in range(1500):
        interpreter.listener.note(str(number))
    page = driver.ask(livy.Log(0, 2))
    assert page == {"start": 500, "total": 1500, "log": ["500", "501"]}
    assert driver.ask(livy.Show())["log"][-1] == "1499"


def test_what_there_is_not_is_refused_with_a_sentence(driver: Driver) -> None:
    assert "wait until it is idle" in driver.ask(livy.Run("a"), status=400)
    driver.begin()
    assert driver.ask(livy.Read(3), status=404) == "The session has no statement 3."
    driver.ask(livy.Run("runs"), status=201)
    for _ in range(100):
        driver.ask(livy.Run("waits"), status=201)
    assert "wait already" in driver.ask(livy.Run("too many"), status=400)


@pytest.mark.parametrize("ended", ["before", "after"])
def test_of_a_session_that_its_user_deleted_nothing_is_kept(driver: Driver, ended: str) -> None:
    interpreter = driver.begin()
    driver.ask(livy.Run("a"), status=201)
    interpreter.listener.hear(done(0, "x" * 1000))
    if ended == "before":
        interpreter.listener.ended("It has ended.")
    driver.ask(livy.Close())
    assert driver.ask(livy.Close()) is None
    if ended == "after":
        assert driver.state() == "shutting_down"
        interpreter.listener.ended("It has ended.")
    shown = driver.ask(livy.Show())
    assert (shown["state"], shown["log"]) == ("dead", [])
    assert driver.ask(livy.List()) == {"total_statements": 0, "statements": []}
    assert list(driver.interpreters) == [1], "a late question starts no interpreter"

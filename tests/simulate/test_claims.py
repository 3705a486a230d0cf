"""What each shipped scenario says of itself, under ember."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from emberhub_service.simulate import load, measure, simulate

SCENARIOS = Path(__file__).parents[2] / "examples" / "scenarios"


def users(outcome, start):
    return [app for app in outcome.apps if app.session.user.startswith(start)]


def held(apps, time, field="held"):
    """Executors that these applications have at this time."""
    return sum(
        next((getattr(sample, field) for sample in reversed(app.samples) if sample.time <= time), 0) for app in apps
    )


def mean(apps, start, end, field="useful"):
    """Executors on average, sampled each second."""
    return sum(held(apps, time, field) for time in range(start, end)) / (end - start)


def test_in_a_class_of_30_nobody_waits_beyond_the_bound_all_are_served_alike_and_the_pool_is_used(played):
    ember = measure(played("class-of-30", "ember"))
    spark = measure(played("class-of-30", "spark-dynamic"))
    assert ember.bound == 20 * 3 + 5 + 1
    assert ember.first_executor_worst <= ember.bound
    assert ember.longest_wait <= 60 * 3 + 5 + 1, "whoever has had a turn waits for whole turns of others"
    assert ember.jain >= 0.95
    assert ember.pool >= 0.97 * spark.pool
    assert ember.busy >= 0.97 * spark.busy
    assert spark.first_executor_worst > 10 * ember.first_executor_worst


def test_a_long_batch_query_gives_executors_back_by_migration_and_has_them_again_after_the_class(played):
    outcome = played("long-batch-under-a-class", "ember")
    (batch,), students = users(outcome, "batch"), users(outcome, "student")
    numbers = measure(outcome)
    assert held([batch], 119) == 8
    assert batch.decommissioned > 0
    assert batch.moved_bytes > 0
    assert numbers.again == 0
    left = max(app.ended for app in students)
    assert batch.ended > left + 60
    assert held([batch], left + 15) == 8
    first = {user.user: user.first_executor for user in numbers.users}
    assert max(first[app.session.user] for app in students) <= numbers.bound + numbers.drain
    assert next(user for user in numbers.users if user.user == "batch").longest_wait <= numbers.bound


def test_a_gang_has_all_of_its_executors_or_none(played):
    outcome = played("gang-among-singles", "ember")
    (gang,), singles = users(outcome, "training"), users(outcome, "single")
    spans = zip(gang.samples, gang.samples[1:], strict=False)
    part = [(s.time, s.held) for s, after in spans if s.asking and 0 < s.held < 6 and after.time - s.time > 7]
    assert part == []
    assert gang.wasted_seconds == 0
    assert gang.finished[0] < min(app.ended for app in singles)


def test_the_cpu_user_beside_a_gpu_user_does_not_starve(played):
    outcome = played("mixed-cpu-gpu", "ember")
    (gpu,), (plain,), (mixed,) = (users(outcome, name) for name in ("gpu", "cpu-plain", "cpu-mixed"))
    assert mean([gpu], 90, 170) == pytest.approx(4, abs=0.1)
    assert mean([mixed], 90, 170) == pytest.approx(mean([plain], 90, 170), abs=1.5)
    assert held([plain], 59) == 24


def test_departments_have_their_guarantees_within_notice_and_drain_and_borrow_what_is_idle(played):
    outcome = played("two-departments", "ember")
    physics, astronomy = users(outcome, "physics"), users(outcome, "astronomy")
    assert held(physics, 99) == 8
    # Notice 5 s, the end of a task of at most 6 s, decommissioning 1 s, start 1 s, and the time of reports.
    assert held(astronomy, 114, "up") >= 4
    done = max(app.ended for app in physics)
    assert min(held(physics, time) for time in range(115, int(min(a.ended for a in physics)) - 10)) >= 4
    assert min(held(astronomy, time, "up") for time in range(114, int(done))) >= 4
    assert held(astronomy, done + 5) == 8


def test_asking_for_ten_times_more_gains_nothing_and_costs_the_others_nothing(played):
    greedy = played("greedy-user", "ember")
    scenario = load(SCENARIOS / "greedy-user.yaml")
    honest = simulate(
        msgspec.structs.replace(
            scenario, users=tuple(msgspec.structs.replace(user, asks=1) for user in scenario.users)
        ),
        "ember",
    )
    with_greed, without = measure(greedy).users, measure(honest).users
    assert with_greed[0].user == "greedy"
    assert with_greed[0].time >= 0.95 * without[0].time
    others = [sum(user.time for user in numbers[1:]) for numbers in (with_greed, without)]
    assert others[0] <= 1.05 * others[1]
    assert measure(greedy).jain >= 0.95


def test_borrowers_have_left_when_the_workshop_starts_and_come_back_after_it(played):
    outcome = played("workshop-window", "ember")
    research, workshop = users(outcome, "research"), users(outcome, "workshop")
    assert held(research, 250) == 8
    assert held(research, 300) <= 2
    waits = [user.first_executor for user in measure(outcome).users if user.user.startswith("workshop")]
    assert max(waits) <= 2
    over = max(720, *(app.ended for app in workshop))
    assert min(app.ended for app in research) > over + 30
    assert held(research, over + 30) == 8
    assert measure(outcome).again == 0

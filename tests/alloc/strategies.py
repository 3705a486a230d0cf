"""Random sites and events for property tests."""

from __future__ import annotations

from emberhub_service.alloc.model import Cluster, Limits, Pool, Queue, Reservation, Resources, Rules, Snapshot
from hypothesis import strategies as st

SHAPES = [
    Resources.of(cores=1, memory="1G"),
    Resources.of(cores=1, memory="1G"),
    Resources.of(cores=2, memory="1G"),
    Resources.of(cores=1, memory="4G"),
    Resources.of(cores=1, memory="1G", gpus=1),
    Resources.of(cores=4, memory="4G"),
]
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.sampled_from([0.5, 1.0, 1.0, 3.0, 7.0, 20.0])),
        st.tuples(st.just("want"), st.integers(0, 9), st.integers(0, 8)),
        st.tuples(st.just("lose"), st.integers(0, 9), st.integers(0, 8)),
        st.tuples(st.just("freeze"), st.integers(0, 9)),
        st.tuples(st.just("ceiling"), st.integers(0, 9), st.integers(0, 8)),
        st.tuples(st.just("remove"), st.integers(0, 9)),
        st.tuples(st.just("add"), st.integers(0, 9)),
        st.tuples(st.just("restart")),
        st.tuples(st.just("plan")),
    ),
    min_size=4,
    max_size=25,
)


@st.composite
def pools(draw: st.DrawFn) -> tuple[Pool, ...]:
    count = draw(st.integers(1, 3))
    return tuple(
        Pool(
            f"pool-{n}",
            Resources.of(
                cores=draw(st.integers(1, 9)), memory=f"{draw(st.integers(2, 20))}G", gpus=draw(st.integers(0, 3))
            ),
            {"site": draw(st.sampled_from(["cam", "edi"]))},
            health=draw(st.sampled_from([1.0, 1.0, 1.0, 0.5])),
        )
        for n in range(count)
    )


@st.composite
def trees(draw: st.DrawFn, *, plain: bool = False) -> Queue:
    policy = st.sampled_from(["user-fair", "user-fair", "fair", "fifo"])
    number = iter(range(100))

    def queue(depth: int) -> Queue:
        children = tuple(queue(depth - 1) for _ in range(draw(st.integers(0, 2 if depth else 0))))
        capped = not plain and draw(st.integers(0, 5)) == 0
        guaranteed = not plain and draw(st.integers(0, 3)) == 0
        return Queue(
            f"queue-{next(number)}",
            children,
            "user-fair" if plain else draw(policy),
            1.0 if plain else draw(st.sampled_from([1.0, 1.0, 2.0, 0.5])),
            Resources.of(cores=draw(st.integers(1, 3))) if guaranteed else Resources(),
            Limits(millicores=1000 * draw(st.integers(1, 6))) if capped else Limits(),
            plain or draw(st.booleans()),
        )

    return queue(2)


def leaves(queue: Queue) -> list[str]:
    return [queue.name] if not queue.children else [name for child in queue.children for name in leaves(child)]


@st.composite
def clusters(draw: st.DrawFn, name: str, queues: list[str], *, plain: bool = False) -> Cluster:
    gang = 1 if plain else draw(st.sampled_from([1, 1, 1, 1, 2, 3]))
    ceiling = draw(st.integers(1, 8))
    return Cluster(
        name,
        f"user-{draw(st.integers(0, 5))}",
        draw(st.sampled_from(queues)),
        SHAPES[0] if plain else draw(st.sampled_from(SHAPES)),
        wanted=draw(st.integers(0, 9)),
        floor=0 if plain else draw(st.sampled_from([0, 0, 0, 1, 2])),
        ceiling=ceiling,
        gang=gang,
        priority=0 if plain else draw(st.sampled_from([0, 0, 0, 1])),
        needs="" if plain else draw(st.sampled_from(["", "", "", "site = cam", "site = edi | !gpu"])),
        prefers="" if plain else draw(st.sampled_from(["", "", "site = cam"])),
    )


@st.composite
def sites(draw: st.DrawFn, *, plain: bool = False) -> Snapshot:
    tree = draw(trees(plain=plain))
    names = leaves(tree)
    count = draw(st.integers(1, 7))
    members = tuple(draw(clusters(f"cluster-{n}", names, plain=plain)) for n in range(count))
    bookings = ()
    if not plain and draw(st.integers(0, 3)) == 0:
        start = draw(st.floats(0, 80))
        amount = Resources.of(cores=draw(st.integers(1, 4)))
        bookings = (Reservation("r", draw(st.sampled_from(names)), amount, start, start + 60.0, lead=20.0),)
    rules = Rules(
        rotation_quantum=20.0,
        min_hold=draw(st.sampled_from([0.0, 5.0])),
        idle_after=10.0,
        reclaim_notice=draw(st.sampled_from([0.0, 2.0])),
        starvation_after=30.0,
        credit_half_life=draw(st.sampled_from([0.0, 100.0])),
        executor_start=3.0,
    )
    return Snapshot(0.0, draw(pools()), tree, members, (), bookings, rules)

"""The invariants of the scheduler, as its module's docstring numbers them."""

import random
from collections import Counter, deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from heed.service.inference.scheduler import Scheduler

LIMIT, BUDGET, QUANTUM, SLICE = 400, 80, 20, 100
LARGEST = 25
TURN = QUANTUM + LARGEST

Costs = st.lists(st.integers(1, LARGEST), min_size=1, max_size=60)
Clients = st.sampled_from("abc")


@dataclass(eq=False)
class Request:
    client: Hashable
    classifier: Hashable
    costs: Sequence[int]
    order: Sequence[int]
    taken: int = 0
    left: int = 0


def scheduler_of(limit: int = LIMIT) -> Scheduler[Request]:
    return Scheduler(limit, BUDGET, QUANTUM, SLICE)


def request_of(costs: Sequence[int], client: Hashable = "a", model: Hashable = "m") -> Request:
    return Request(client, model, costs, range(len(costs)))


def tokens_of(batch: list[tuple[Request, int]]) -> int:
    return sum(request.costs[index] for request, index in batch)


def put(scheduler: Scheduler[Request], *costs: int, client: str = "a", model: str = "m") -> Request:
    request = request_of(costs, client, model)
    assert scheduler.put(request)
    return request


class SchedulerRules(RuleBasedStateMachine):
    """Any sequence of calls, compared with a plain list of requests."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = scheduler_of()
        self.waiting: list[Request] = []
        self.taken: Counter[Request] = Counter()

    @rule(costs=Costs, client=Clients, model=st.sampled_from("mn"))
    def put(self, costs: list[int], client: str, model: str) -> None:
        request = request_of(costs, client, model)
        full = self.scheduler.waiting >= LIMIT
        assert not full or not self.scheduler.has_capacity(client)
        assert self.scheduler.put(request) is not full
        if not full:
            self.waiting.append(request)

    @rule()
    def take(self) -> None:
        all_small_for_one = all(
            sum(one.costs) <= QUANTUM and one.classifier == "m" for one in self.waiting
        )
        batch = self.scheduler.take()
        assert bool(batch) is bool(self.waiting)
        assert len({request.classifier for request, _ in batch}) <= 1
        assert len(batch) == 1 or tokens_of(batch) <= BUDGET
        for request, index in batch:
            assert request in self.waiting
            assert index == self.taken[request], "a text is taken once, and in order"
            self.taken[request] += 1
        self.waiting = [one for one in self.waiting if self.taken[one] < len(one.costs)]
        if all_small_for_one:
            assert not self.waiting or tokens_of(batch) > BUDGET - LARGEST
        for large in {one for one, _ in batch if one.left and sum(one.costs) > QUANTUM}:
            of_turn = tokens_of([entry for entry in batch if entry[0] is large])
            assert of_turn > QUANTUM - LARGEST or tokens_of(batch) > BUDGET - LARGEST

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        request = data.draw(st.sampled_from(self.waiting))
        self.waiting.remove(request)
        self.scheduler.remove(request)

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def remove_a_request_that_does_not_wait(self, data: st.DataObject) -> None:
        request = data.draw(st.sampled_from(list(self.taken)))
        if request not in self.waiting:
            self.scheduler.remove(request)

    @invariant()
    def tokens_are_counted(self) -> None:
        left = [sum(one.costs[self.taken[one] :]) for one in self.waiting]
        assert self.scheduler.waiting == sum(min(tokens, SLICE) for tokens in left)
        assert self.scheduler.waiting < LIMIT + SLICE

    @invariant()
    def an_empty_queue_accepts_every_client(self) -> None:
        if not self.waiting:
            assert all(self.scheduler.has_capacity(client) for client in "abc")


TestSchedulerRules = SchedulerRules.TestCase
TestSchedulerRules.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


def test_an_empty_queue_accepts_a_request_of_any_size() -> None:
    scheduler = scheduler_of(limit=1)
    put(scheduler, *[LARGEST] * 1024)
    assert not scheduler.has_capacity("a")
    assert not scheduler.put(request_of([1]))
    assert sum(len(scheduler.take()) for _ in range(1024)) == 1024
    assert scheduler.waiting == 0


@given(
    texts=st.tuples(*[st.integers(1, LARGEST)] * 3),
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=10),
    models=st.sampled_from(["m", "mn"]),
    others=st.lists(st.tuples(st.sampled_from("de"), Costs), max_size=60),
)
@settings(max_examples=200, deadline=None)
def test_clients_that_all_wait_get_the_same_tokens(
    texts: tuple[int, ...], sizes: list[int], models: str, others: list[tuple[str, list[int]]]
) -> None:
    """Three clients with texts of different sizes; other clients send a few requests meanwhile."""
    scheduler = scheduler_of(limit=10**9)
    for number in range(100):
        size = sizes[number % len(sizes)]
        for client, cost in zip("abc", texts, strict=True):
            put(scheduler, *[cost] * size, client=client, model=models[number % len(models)])
    least = min(texts) * sum(sizes[number % len(sizes)] for number in range(100))
    difference = 2 * TURN if len(models) == 1 else 2 * (BUDGET + TURN)
    taken = Counter(dict.fromkeys("abc", 0))
    while max(taken.values()) < least - 2 * BUDGET:
        if others:
            client, costs = others.pop()
            put(scheduler, *costs, client=client, model=models[len(others) % len(models)])
        for request, index in scheduler.take():
            if str(request.client) in taken:
                taken[str(request.client)] += request.costs[index]
            assert max(taken.values()) - min(taken.values()) < difference


@given(
    others=st.lists(st.tuples(Clients, st.sampled_from("mn"), Costs), max_size=40),
    later=st.lists(st.tuples(Clients, st.sampled_from("mn"), Costs), max_size=200),
    own=Costs,
)
@settings(max_examples=200, deadline=None)
def test_a_request_has_a_turn_after_a_known_number_of_tokens(
    others: list[tuple[str, str, list[int]]],
    later: list[tuple[str, str, list[int]]],
    own: list[int],
) -> None:
    scheduler = scheduler_of(limit=10**9)
    waiting = {put(scheduler, *costs, client=c, model=m) for c, m, costs in others}
    request = put(scheduler, *own, client="a")
    waiting.add(request)
    taken = before = most = 0
    while request.left:
        if later:
            client, model, costs = later.pop()
            waiting.add(put(scheduler, *costs, client=client, model=model))
        clients = len({one.client for one in waiting if one.left})
        mine = sum(one.client == "a" for one in waiting if one.left)
        most = max(most, clients * 2 * (mine * BUDGET + BUDGET + TURN))
        left = request.left
        taken += tokens_of(scheduler.take())
        if request.left < left:
            assert taken - before <= most
            before, most = taken, 0


@given(
    others=st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, LARGEST)), max_size=8),
    text=st.integers(1, QUANTUM),
    batches=st.integers(0, 30),
)
@settings(deadline=None)
def test_a_small_request_is_in_the_next_batch_or_the_one_after(
    others: list[tuple[str, int]], text: int, batches: int
) -> None:
    """Beside large requests of two other clients, or of one: its own."""
    for large, client in ((others, "c"), ([("a", cost) for _, cost in others], "a")):
        scheduler = scheduler_of(limit=10**9)
        for other, cost in large:
            put(scheduler, *[cost] * 1024, client=other)
        for _ in range(batches):
            scheduler.take()
        request = put(scheduler, text, client=client)
        scheduler.take()
        scheduler.take()
        assert request.taken == 1


def test_a_client_that_comes_later_has_no_claim_to_what_others_were_served_before() -> None:
    scheduler = scheduler_of(limit=10**9)
    early = put(scheduler, *[10] * 1000, client="early")
    for _ in range(20):
        scheduler.take()
    before = early.left
    late = put(scheduler, *[10] * 1000, client="late")
    for _ in range(20):
        scheduler.take()
        assert abs((before - early.left) - (10_000 - late.left)) < 2 * TURN
    assert late.left < 10_000


def test_models_take_turns_even_of_one_client() -> None:
    scheduler = scheduler_of()
    for model in "mn":
        put(scheduler, *[10] * 40, model=model)
    models = [{str(request.classifier) for request, _ in scheduler.take()} for _ in range(10)]
    assert models == [{"m"}, {"n"}] * 5


def test_batches_of_small_requests_alternate_with_turns_of_large_ones() -> None:
    scheduler = scheduler_of(limit=10**9)
    large = [put(scheduler, *[QUANTUM] * 9) for _ in range(2)]
    assert [request for request, _ in scheduler.take()] == [large[0]]
    small = [put(scheduler, 5) for _ in range(20)]
    batches = [[request for request, _ in scheduler.take()] for _ in range(4)]
    assert batches == [small[:16], [large[1]], small[16:], [large[0]]]


def test_a_batch_of_large_requests_has_one_turn_of_each_client() -> None:
    scheduler = scheduler_of(limit=10**9)
    large = [put(scheduler, *[QUANTUM] * 9, client=client) for client in "aabcc"]
    batches = [[request for request, _ in scheduler.take()] for _ in range(3)]
    assert batches == [
        [large[0], large[2], large[3]],
        [large[1], large[2], large[4]],
        [large[0], large[2], large[3]],
    ]


def test_texts_are_taken_in_the_order_of_the_request() -> None:
    scheduler = scheduler_of()
    request = Request("a", "m", [8, 5, 7], [1, 2, 0])
    assert scheduler.put(request)
    assert [index for _, index in scheduler.take()] == [1, 2, 0]


def test_a_client_does_not_get_ahead_with_a_model_that_comes_up_often() -> None:
    """One client sends few tokens to the first model, so its batches have capacity for another."""
    scheduler = scheduler_of(limit=10**9)
    for _ in range(1000):
        put(scheduler, 10, client="many", model="m")
        put(scheduler, 10, client="other", model="n")
    taken: Counter[str] = Counter()
    for _ in range(100):
        put(scheduler, 1, client="few", model="m")
        for request, index in scheduler.take():
            taken[str(request.client)] += request.costs[index]
    assert abs(taken["many"] - taken["other"]) < 2 * (BUDGET + TURN)


def test_a_text_that_does_not_fit_is_first_in_the_next_batch() -> None:
    scheduler = scheduler_of()
    requests = [put(scheduler, cost) for cost in (51, 1000, 51, 51)]
    taken = [[requests.index(request) for request, _ in scheduler.take()] for _ in range(4)]
    assert taken == [[0], [1], [2], [3]]
    assert scheduler.waiting == 0


def test_the_last_eighth_of_the_limit_is_kept_for_clients_that_hold_little() -> None:
    scheduler = scheduler_of(limit=800)
    while scheduler.has_capacity("large"):
        put(scheduler, *[10] * 10, client="large")
    assert scheduler.waiting == 700
    accepted = [client for client in "abcdefghijkl" if scheduler.has_capacity(client)]
    for client in accepted:
        put(scheduler, 5, client=client)
    assert len(accepted) == 12
    assert scheduler.has_capacity("a"), "it waits already, but holds little"
    assert not scheduler.has_capacity("large")
    put(scheduler, *[10] * 10, client="large")  # as one whose headers came earlier
    assert not scheduler.has_capacity("new"), "the queue is full"


def test_to_remove_a_large_request_frees_its_slice_and_its_client() -> None:
    scheduler = scheduler_of()
    large = [put(scheduler, *[10] * 1000, client="large") for _ in range(4)]
    assert scheduler.waiting == LIMIT
    scheduler.take()
    for request in large:
        scheduler.remove(request)
        scheduler.remove(request)
    assert scheduler.waiting == 0
    assert scheduler.take() == []


def accepted_shares(
    batch_texts: int, text_tokens: int, late: float, *, seed: int, requests: int = 12_000
) -> dict[str, float]:
    """Return the share of each kind that is accepted at ten times the capacity, every fifth large.

    Args:
        batch_texts: texts of a large request; a small one has one.
        text_tokens: tokens of each text.
        late: how long after its headers the body of a large request is complete, in units of the
            time that one batch takes.
        seed: of the arrivals.
        requests: how many come; the first third fills the queue.
    """
    draw = random.Random(seed)
    budget = 4096
    scheduler = Scheduler[Request](65536, budget, 768, budget)
    mean_gap = text_tokens * (4 + batch_texts) / 5 / (10 * budget)
    bodies: deque[tuple[float, Request]] = deque()
    asked: Counter[str] = Counter()
    accepted: Counter[str] = Counter()
    now = next_batch = 0.0

    def put(kind: str, request: Request) -> None:
        accepted[kind] += scheduler.put(request)

    for number in range(requests):
        if number == requests // 3:
            asked.clear()
            accepted.clear()
        now += draw.expovariate(1 / mean_gap)
        while min(next_batch, bodies[0][0] if bodies else now) < now:
            if bodies and bodies[0][0] < next_batch:
                put("large", bodies.popleft()[1])
            else:
                next_batch += tokens_of(scheduler.take()) / budget or 0.1
        kind = "large" if draw.random() < 0.2 else "small"
        asked[kind] += 1
        if not scheduler.has_capacity("client"):
            continue
        request = request_of([text_tokens] * (batch_texts if kind == "large" else 1), "client")
        if kind == "large" and late:
            bodies.append((now + late, request))
        else:
            put(kind, request)
    return {kind: accepted[kind] / asked[kind] for kind in asked}


@pytest.mark.parametrize("batch_texts", [8, 64, 1024])
@pytest.mark.parametrize("text_tokens", [10, 100, 500])
@pytest.mark.parametrize("late", [0.0, 0.1])
def test_under_overload_large_and_small_requests_are_accepted_in_proportion(
    batch_texts: int, text_tokens: int, late: float
) -> None:
    shares = accepted_shares(batch_texts, text_tokens, late, seed=batch_texts + text_tokens)
    assert 0.5 < shares["large"] / shares["small"] < 2, shares

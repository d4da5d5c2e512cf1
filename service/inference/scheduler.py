"""The order in which waiting texts are classified, and which requests may wait.

A pure data structure: it uses no HTTP, no event loop, no thread and no clock. Tokens are estimates
that are made before a text is tokenized. The *limit* is the number of tokens that may wait, the
*budget* is the number of tokens of a batch, a *quantum* is the number of tokens
that one batch takes from a large request. A request is *small* if it has at most one quantum.

Accounting: a request counts as waiting with its tokens that no batch has taken, but with at most
one *slice*. So a request of any size is accepted at once, and its tokens are admitted slice by
slice: when some are taken, the next ones count.

Admission: **a request is accepted if fewer tokens wait than the limit, whatever its own size; the
last eighth of the limit is kept for clients that hold less than half of an equal share.** The size
does not matter, so under overload large and small requests are accepted in the same proportion.

Order: the client that was served the fewest tokens is next. A batch is for one classifier, and has
either small requests or turns of large ones, one quantum of each client at most. So a small request
waits neither for a large one in its own batch nor for long for the batch before it. If a client has
both, they alternate from batch to batch; large requests of one client take turns.

Invariants, property-tested in `tests/serving/inference/test_scheduler.py`. T is the number of
tokens of the largest text.

1. Fewer tokens wait than the limit and one slice.
2. An empty queue accepts a request of any size.
3. Every text of an accepted request is taken exactly once, unless the request is removed.
4. Work conserving: a batch is empty only if nothing waits. A batch of small requests that leaves
   some has more than budget - T tokens; a large turn has more than quantum - T.
5. Fair: the tokens taken from two clients, while both have requests waiting, differ by less than
   2 (quantum + T). With several classifiers, by less than 2 (budget + quantum + T).
6. No starvation: with at most C clients, and R requests of one client, each of its requests has a
   turn within C (2 R budget + 2 (budget + quantum + T)) tokens.
7. A small request is in the next batch or in the one after it, if no other small one waits and the
   large ones are of the same client only, or of two other clients only, however many they are.
8. To remove a request frees its tokens at once, in constant time.

Source: start-time fair queueing (Goyal, Vin and Cheng 1996), with the client as the flow.
"""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from heapq import heappop, heappush, heapreplace
from itertools import count
from typing import Generic, Protocol, TypeVar

RESERVED_PART = 8
"""The limit divided by this is reserved for clients with few waiting tokens."""


class Waiting(Protocol):
    """What the scheduler needs of a request."""

    taken: int
    """Texts that were taken; set by the scheduler."""
    left: int
    """Tokens of the texts that wait; 0 before `put`, then set by the scheduler."""

    @property
    def client(self) -> Hashable:
        """The label of an API key, or an address."""

    @property
    def classifier(self) -> Hashable:
        """Texts of one classifier can share a batch."""

    @property
    def costs(self) -> Sequence[int]:
        """Tokens of each text; at least one text, of at least one token."""

    @property
    def order(self) -> Sequence[int]:
        """The indices of the texts in the order in which they are taken."""


R = TypeVar("R", bound=Waiting)


class _Client(Generic[R]):
    """A client with waiting requests."""

    __slots__ = ("flows", "held", "key", "served")

    def __init__(self, key: Hashable, served: int) -> None:
        self.key = key
        self.served = served
        """Tokens taken. It starts at `Scheduler._least_served`, not at 0."""
        self.held = 0
        """Its part of `Scheduler.waiting`."""
        self.flows: dict[Hashable, _Flow[R]] = {}


class _Flow(Generic[R]):
    """The requests of one client for one classifier."""

    __slots__ = ("classifier", "client", "large", "large_is_next", "last_batch", "small")

    def __init__(self, client: _Client[R], classifier: Hashable) -> None:
        self.client = client
        self.classifier = classifier
        self.small: OrderedDict[R, None] = OrderedDict()
        self.large: OrderedDict[R, None] = OrderedDict()
        """In the order of their turns."""
        self.large_is_next = False
        """True if the last batch that took texts of this flow took small requests."""
        self.last_batch = 0
        """The number of that batch."""


class Scheduler(Generic[R]):
    """The requests that wait; see the docstring of the module. Not thread-safe."""

    def __init__(self, limit: int, budget: int, quantum: int, slice_tokens: int) -> None:
        """Args:
        limit: tokens that may wait.
        budget: tokens of a batch. A text with more is a batch of its own.
        quantum: tokens of a turn. A text with more is a turn of its own.
        slice_tokens: with how many tokens a request counts at most.
        """
        self.waiting = 0
        """Tokens that wait, at most one slice of each request."""
        self._limit = limit
        self._open_limit = limit - limit // RESERVED_PART
        self._budget = budget
        self._quantum = quantum
        self._slice = slice_tokens
        self._clients: dict[Hashable, _Client[R]] = {}
        # A heap for each classifier: tokens served to the client, number of the turn, flow. An
        # entry is out of date if the client was served since, or if the flow has no request left.
        self._turns: dict[Hashable, list[tuple[int, int, _Flow[R]]]] = {}
        self._numbers = count()
        self._least_served = 0
        """No client that waits was served fewer tokens."""
        self._batch_number = 0

    def has_capacity(self, client: Hashable) -> bool:
        """Return whether a request of this client is accepted now. Any thread may call it."""
        if self.waiting < self._open_limit:
            return True
        if self.waiting >= self._limit:
            return False
        known = self._clients.get(client)
        return known is None or 2 * known.held * (len(self._clients) + 1) < self._limit

    def put(self, request: R) -> bool:
        """Accept a request if fewer tokens wait than the limit; return whether it was accepted.

        The part that `has_capacity` keeps for others is open here. So a request that had capacity
        when its headers came is not rejected because its body took longer than another's.
        """
        if self.waiting >= self._limit:
            return False
        client = self._clients.get(request.client)
        if client is None:
            client = self._clients[request.client] = _Client(request.client, self._least_served)
        flow = client.flows.get(request.classifier)
        if flow is None:
            flow = client.flows[request.classifier] = _Flow(client, request.classifier)
            turns = self._turns.setdefault(request.classifier, [])
            heappush(turns, (client.served, next(self._numbers), flow))
        tokens = sum(request.costs)
        (flow.small if tokens <= self._quantum else flow.large)[request] = None
        self._set_left(client, request, tokens)
        return True

    def remove(self, request: R) -> None:
        """Remove the texts of a request that were not taken."""
        client = self._clients.get(request.client)
        flow = client.flows.get(request.classifier) if client is not None else None
        if client is None or flow is None:
            return
        for queue in (flow.small, flow.large):
            if request in queue:
                del queue[request]
                self._set_left(client, request, 0)
        if not self.waiting:  # flows without requests are dropped at their turn, which may not come
            self._clients.clear()
            self._turns.clear()

    def take(self) -> list[tuple[R, int]]:
        """Return the next batch: requests, each with a text's index. Empty if nothing waits."""
        batch: list[tuple[R, int]] = []
        turns = self._turns_of_next_classifier()
        is_mixed = len(self._turns) > 1
        is_large = False
        capacity = self._budget
        self._batch_number += 1
        while capacity > 0 and self._settle(turns):
            served, _, flow = turns[0]
            if not is_mixed or not batch:
                self._least_served = served
            elif served > self._least_served + self._budget:
                break  # a client must not get far ahead of those who wait for another classifier
            had_turn = flow.last_batch == self._batch_number
            gives_large = bool(flow.large) and not (
                flow.small and (had_turn or not flow.large_is_next)
            )
            if not batch:
                is_large = gives_large
            elif gives_large != is_large or (is_large and had_turn):
                break
            tokens = self._take_turn(flow, flow.large if is_large else flow.small, batch, capacity)
            if not tokens:
                break
            flow.last_batch = self._batch_number
            flow.large_is_next = not is_large
            capacity -= tokens
            flow.client.served = served = served + tokens
            heapreplace(turns, (served, next(self._numbers), flow))
        return batch

    def _take_turn(
        self,
        flow: _Flow[R],
        requests: OrderedDict[R, None],
        batch: list[tuple[R, int]],
        capacity: int,
    ) -> int:
        """Move a quantum of the first request into the batch, or what fits; return its tokens.

        The first text may exceed the quantum, and if the batch is empty the capacity.
        """
        request = next(iter(requests))
        costs, order, index = request.costs, request.order, request.taken
        end, tokens = len(costs), 0
        most = min(self._quantum, capacity)
        while index < end:
            text = order[index]
            cost = costs[text]
            if tokens + cost > most and (tokens or (cost > capacity and batch)):
                break
            batch.append((request, text))
            tokens += cost
            index += 1
        request.taken = index
        self._set_left(flow.client, request, request.left - tokens)
        if index == end:
            del requests[request]
        elif requests is flow.large:
            requests.move_to_end(request)
        return tokens

    def _turns_of_next_classifier(self) -> list[tuple[int, int, _Flow[R]]]:
        """Return the heap whose first client was served the fewest tokens."""
        settled = {key: turns for key, turns in self._turns.items() if self._settle(turns)}
        self._turns = settled
        return min(settled.values(), default=[], key=lambda turns: turns[0][:2])

    def _settle(self, turns: list[tuple[int, int, _Flow[R]]]) -> bool:
        """Bring an entry that is up to date to the top of a heap; return False if there is none."""
        while turns:
            served, number, flow = turns[0]
            client = flow.client
            if not flow.small and not flow.large:
                heappop(turns)
                del client.flows[flow.classifier]
                if not client.flows:
                    del self._clients[client.key]
            elif served != client.served:
                heapreplace(turns, (client.served, number, flow))
            else:
                return True
        return False

    def _set_left(self, client: _Client[R], request: R, left: int) -> None:
        change = min(left, self._slice) - min(request.left, self._slice)
        request.left = left
        client.held += change
        self.waiting += change

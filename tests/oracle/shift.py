"""What ``sophia._core.shift`` must compute, with sets and lists."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence

from sophia._core.search import greatest_similarity, similarity
from sophia._core.vector import Hypervector

WINDOW = 32

_WARM = 16
_ALLOWANCE = 0.25
_LIMIT = 4.0
_CALM = 1.0
_RATE = 1 / 64
_PROTOTYPES = 64
_PENDING = 64
_LAG = 8
_LEAST = 4
_FEW = WINDOW // 4
_KNOWN = 1 << 14
_SKIP = 8


class Window:
    def __init__(self, patterns: Sequence[int], made: Callable[[], Hypervector | None]) -> None:
        self.patterns = patterns
        self.distinct = set(patterns)
        self.distinct.discard(0)
        self._made: Callable[[], Hypervector | None] | None = made
        self._vector: Hypervector | None = None

    @property
    def vector(self) -> Hypervector | None:
        if self._made is not None:
            self._vector, self._made = self._made(), None
        return self._vector


class ShiftDetector:
    def __init__(self) -> None:
        self._pending: deque[Window] = deque()
        self._last: Window | None = None
        self._usual = 0.0
        self._sum = 0.0
        self._begin()

    def _begin(self) -> None:
        """A new stretch."""
        self._known: dict[int, None] = {}
        self._rows: list[Hypervector] = []
        self._count = 0  # windows that were learned
        self._age = 0  # windows
        self._early: list[float] = []

    @property
    def held(self) -> int:
        """How many of the latest windows may still turn out to belong to the next stretch, in part or wholly."""
        return len(self._pending) + 1

    def add(self, window: Window) -> int:
        """Takes the next window; 0, or how many of the latest inputs are a new stretch."""
        share = self._unknown(window)
        if share is None:  # it says nothing
            if self._pending:
                self._hold(window)
            return 0
        if self._age < _WARM:
            self._warm_up(share * (1.0 - self._likeness(window)) if self._age >= _WARM // 2 else 0.0, window)
            return 0
        most = self._sum + share - self._usual - _ALLOWANCE
        strange = share * (1.0 - self._likeness(window)) if most > 0.0 else 0.0
        self._sum = max(0.0, self._sum + strange - self._usual - _ALLOWANCE)
        if self._sum < _CALM:
            self._usual += (min(strange, self._usual + _ALLOWANCE) - self._usual) * _RATE
        self._hold(window)
        while self._sum == 0.0 and len(self._pending) > _LAG:
            self._learn(self._pending.popleft())
        return self._cut() if self._sum > _LIMIT and len(self._pending) >= _LEAST else 0

    def _unknown(self, window: Window) -> float | None:
        """The share of its inputs whose pattern the stretch does not have; None where too few have one."""
        known, new = self._known, 0
        count = len(window.patterns) - window.patterns.count(0)
        if count < _FEW:
            return None
        if not known.keys() >= window.distinct:
            new = sum([pattern not in known for pattern in window.patterns if pattern])
        return new / count

    def _likeness(self, window: Window) -> float:
        """The cosine with the most similar window of the stretch; 0 where there is none."""
        return 0.0 if window.vector is None else _cosine(greatest_similarity(window.vector, self._rows))

    def _warm_up(self, strange: float, window: Window) -> None:
        self._age += 1
        if self._age > _WARM // 2:
            self._early.append(strange)
        self._learn(window)
        if self._age == _WARM:
            self._usual = sum(sorted(self._early)[_WARM // 4 - 1 : _WARM // 4 + 1]) / 2  # the median of eight

    def _learn(self, window: Window) -> None:
        self._last = window
        self._count += 1
        if not self._known.keys() >= window.distinct:
            self._known.update(dict.fromkeys(sorted(window.distinct)))
            if len(self._known) > _KNOWN:
                for pattern in list(self._known)[: _KNOWN // 4]:
                    del self._known[pattern]
        elif self._count % _SKIP and self._age >= _WARM:
            return
        if window.vector is not None:
            self._rows.append(window.vector)
            del self._rows[:-_PROTOTYPES]

    def _hold(self, window: Window) -> None:
        self._pending.append(window)
        if len(self._pending) > _PENDING:
            self._learn(self._pending.popleft())

    def _cut(self) -> int:
        """Ends the stretch where it did end; how many of the latest inputs are of the next."""
        pending = list(self._pending)
        first = self._turn(pending)
        begun = len(pending) * WINDOW - self._line(pending, first)
        self._last = pending[first - 1] if first else self._last
        self._pending.clear()
        self._sum = 0.0
        usual = self._usual
        self._begin()
        for window in pending[first:]:
            share = self._unknown(window) or 0.0
            self._warm_up(share * (1.0 - self._likeness(window)) if self._age >= _WARM // 2 else 0.0, window)
        if self._age > _WARM:  # the median was that of the first sixteen; after them nothing was learned of it
            self._usual = min(self._usual, usual)
        return begun

    def _turn(self, pending: list[Window]) -> int:
        """The first of the pending windows that is of the next stretch: from it on they are least like all before, and
        most like each other."""
        vectors = [window.vector for window in pending]
        most = [self._likeness(window) for window in pending]  # with all before the first that may be of the next
        count = len(vectors)
        alike = [[_alike(vectors[i], vectors[j]) for j in range(i)] for i in range(count)]
        scores: list[float] = []
        own = [0.0] * count  # with the others from the first on
        for first in reversed(range(count - 1)):
            for i in range(first + 1, count):
                own[first] = max(own[first], alike[i][first])
                own[i] = max(own[i], alike[i][first])
            scores.append(sum(own[first:]))
        scores.reverse()
        best, found = 0, math.inf
        for first in range(count - _LEAST + 1):
            if first:
                for i in range(first, count):
                    most[i] = max(most[i], alike[i][first - 1])
            score = round((sum(most[first:]) - scores[first]) / (count - first), 3)
            if score < found:
                best, found = first, score
        return best

    def _line(self, pending: list[Window], first: int) -> int:
        """The first input of the next stretch, counted from the first pending one; it may lie in the window before."""
        before = pending[first - 1] if first else self._last
        old = set(self._known).union(*[window.distinct for window in pending[: max(first - 1, 0)]])
        new = set[int]().union(*[window.distinct for window in pending[first + 1 :]]) - old
        earlier = before.patterns if before is not None else ()
        patterns = [*earlier, *pending[first].patterns]
        is_new = [pattern in new for pattern in patterns]
        return first * WINDOW - len(earlier) + _split(is_new, len(earlier))


def _split(is_new: Sequence[bool], near: int) -> int:
    """The place from which on most are new and before which most are not; of equal ones that nearest to `near`."""
    right = sum(is_new)
    best, place = right, 0
    for i, one in enumerate(is_new, 1):
        right += -1 if one else 1
        if right > best or (right == best and abs(i - near) < abs(place - near)):
            best, place = right, i
    return place


def _alike(one: Hypervector | None, other: Hypervector | None) -> float:
    return 0.0 if one is None or other is None else _cosine(similarity(one, other))


def _cosine(alike: float) -> float:
    """Of two sums whose votes are so much alike: with cosine c these agree in 1/2 + asin(c)/pi of their bits."""
    return math.sin(max(0.0, alike) * (math.pi / 2))

"""The audit of served answers: a share of them is checked, and too many wrong ones end the serving.

The false-serve rate is a share of Bernoulli trials, so its interval is the exact one of C. J. Clopper and E. S.
Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial", Biometrika 26 (1934).

The bound is looked at after each comparison, so over thousands of them a rate just under the budget ends the serving
now and then as well (a rate of half the budget of 0.01: 2 or 3 brains of 100): an error on the careful side.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Callable
from hashlib import blake2b
from typing import NamedTuple

from sophia._core.decision import Decision
from sophia.config import Settings
from sophia.errors import StoreCorrupt

__all__ = ["WINDOW", "Audit", "AuditReport", "false_serve_interval", "same_text"]

# Comparisons that the rate is taken over: old mistakes, and old merits, are forgotten.
WINDOW = 1000

# Audits that may wait for their answer; of more, the oldest are no longer counted when it comes.
_EXPECTED = 10_000


class AuditReport(NamedTuple):
    """How often audited answers were wrong, over the last 1,000 comparisons since answers were last resumed.

    `interval` holds the true rate with `confidence`; both it and `rate` are None before the first comparison.
    `open` counts audits of this process that still wait for `complete`.
    """

    compared: int
    differed: int
    open: int
    confidence: float
    answers_off: bool

    @property
    def rate(self) -> float | None:
        return self.differed / self.compared if self.compared else None

    @property
    def interval(self) -> tuple[float, float] | None:
        return false_serve_interval(self.differed, self.compared, self.confidence) if self.compared else None


class Audit:
    """Draws, compares, counts, and says when answers must no longer be served.

    Which served answers are drawn follows from the seed and from how many were served before, so the same inputs
    give the same draws however they were cut into batches. Not thread-safe; the brain holds the lock.
    """

    def __init__(
        self, settings: Settings, *, same: Callable[[str, str], bool] | None = None, state: str | None = None
    ) -> None:
        self.seed = settings.seed
        self.limit = min(int(settings.audit * 2.0**64), 1 << 64)
        self.served = 0
        self.off = False
        self.agree = same_text if same is None else same
        self._confidence = settings.audit_confidence
        self._fewest = _Fewest(settings.audit_budget, (1.0 - settings.audit_confidence) / 2.0)
        self._recent: deque[bool] = deque(maxlen=WINDOW)
        self._differed = 0
        self._expected: dict[int, int] = {}
        if state is not None:
            self._restore(state)
        self._saved = (self.served, self._text())

    def expect(self, decision: Decision) -> None:
        """A drawn answer was served; what thought says will come by :meth:`claim`."""
        self._expected[decision.n] = hash(decision)
        if len(self._expected) > _EXPECTED:
            del self._expected[next(iter(self._expected))]

    def claim(self, decision: Decision) -> bool:
        """Whether `decision` is an audit that waits for its answer; it does so no longer."""
        if not decision.audit or self._expected.get(decision.n) != hash(decision):
            return False
        del self._expected[decision.n]
        return True

    def compare(self, served: str, thought: str) -> bool:
        """Compares at once, and counts; an error of the user's comparison is raised and nothing is counted."""
        agrees = bool(self.agree(served, thought))
        self.count(agrees)
        return agrees

    def count(self, agrees: bool) -> None:
        """One more comparison; switches off when the interval of the rate lies above the budget."""
        if len(self._recent) == WINDOW:
            self._differed -= not self._recent[0]
        self._recent.append(agrees)
        self._differed += not agrees
        if self._differed and self._differed >= self._fewest.of(len(self._recent)):
            self.off = True

    def resume(self) -> None:
        """Answers may be served again, and what was counted is forgotten: it is known and has been dealt with."""
        self.off = False
        self._recent.clear()
        self._differed = 0

    def report(self) -> AuditReport:
        return AuditReport(len(self._recent), self._differed, len(self._expected), self._confidence, self.off)

    def changes(self, served: int) -> str | None:
        """The state as text when it is not the one handed out last; `served` is how far the hot path has counted."""
        self.served = served
        state = self._text()
        if state == self._saved[1]:
            return None
        self._saved = (served, state)
        return state

    def _text(self) -> str:
        recent = "".join("01"[agrees] for agrees in self._recent)
        body = json.dumps({"served": self.served, "off": self.off, "recent": recent})
        return f"{_checksum(body)} {body}"

    def _restore(self, state: str) -> None:
        checksum, _, body = state.partition(" ")
        if checksum != _checksum(body):
            message = "the counts of the audit fail their checksum"
            raise StoreCorrupt(message)
        saved = json.loads(body)
        self.served, self.off = saved["served"], saved["off"]
        self._recent.extend(mark == "1" for mark in saved["recent"])
        self._differed = sum(not agrees for agrees in self._recent)


def same_text(served: str, thought: str) -> bool:
    """The comparison used when the user gives none: equal but for the kind of line ends and outer white space."""
    return _plain(served) == _plain(thought)


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _checksum(body: str) -> str:
    return blake2b(body.encode(), digest_size=8).hexdigest()


class _Fewest:
    """For a number of comparisons, the fewest differences that put the interval's lower bound above the budget.

    The lower bound for k of n is above p exactly when P(X >= k) < tail for X ~ Binomial(n, p). Additions and products
    of floats only, in one order: the same on every machine, as what it decides must be.
    """

    def __init__(self, budget: float, tail: float) -> None:
        self._budget = budget
        self._tail = tail
        self._mass = [1.0]  # of Binomial(n, budget) for the n computed last
        self._known = [1]

    def of(self, compared: int) -> int:
        while len(self._known) <= compared:
            more, less = self._budget, 1.0 - self._budget
            mass = self._mass
            self._mass = [less * a + more * b for a, b in zip([*mass, 0.0], [0.0, *mass], strict=True)]
            fewest, above = len(self._mass), 0.0
            while fewest and above + self._mass[fewest - 1] < self._tail:
                fewest -= 1
                above += self._mass[fewest]
            self._known.append(fewest)
        return self._known[compared]


def false_serve_interval(differed: int, compared: int, confidence: float = 0.95) -> tuple[float, float]:
    """The Clopper-Pearson interval of a rate of which `differed` of `compared` were seen. About 1 ms.

    Its coverage is at least `confidence` for every true rate and every number of comparisons.

        >>> [round(end, 4) for end in false_serve_interval(3, 200)]
        [0.0031, 0.0432]
        >>> [round(end, 4) for end in false_serve_interval(0, 300)]
        [0.0, 0.0122]
    """
    tail = (1.0 - confidence) / 2.0
    low = _quantile(tail, differed, compared - differed + 1) if differed else 0.0
    high = _quantile(1.0 - tail, differed + 1, compared - differed) if differed < compared else 1.0
    return low, high


def _quantile(share: float, a: int, b: int) -> float:
    """Where the distribution function of Beta(a, b) is `share`, by halving."""
    low, high = 0.0, 1.0
    for _ in range(80):
        middle = (low + high) / 2.0
        if _beta(middle, a, b) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0


def _beta(x: float, a: int, b: int) -> float:
    """The distribution function of Beta(a, b): the regularised incomplete beta function, by its continued fraction."""
    if x <= 0.0 or x >= 1.0:
        return float(x >= 1.0)
    if x > (a + 1.0) / (a + b + 2.0):  # the fraction converges fast on this side of the mean only
        return 1.0 - _beta(1.0 - x, b, a)
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    # Evaluated from the front; numerators alternate between two forms, denominators are one.
    ratio_up, ratio_down = 1.0, 1.0 / _away_from_zero(1.0 - (a + b) * x / (a + 1.0))
    value = ratio_down
    for m in range(1, 100_000):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2.0 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2 * m + 1.0)),
        ):
            ratio_down = 1.0 / _away_from_zero(1.0 + numerator * ratio_down)
            ratio_up = _away_from_zero(1.0 + numerator / ratio_up)
            value *= ratio_down * ratio_up
        if abs(ratio_down * ratio_up - 1.0) < 1e-15:
            break
    return math.exp(front) * value / a


def _away_from_zero(value: float) -> float:
    return value if abs(value) > 1e-300 else 1e-300

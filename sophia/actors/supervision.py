"""Supervision: what happens when an actor fails."""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from sophia.actors.actor import Unhandled
from sophia.actors.complaint import complain

if TYPE_CHECKING:
    from sophia.actors.cell import Cell

__all__ = ["Budget", "Event", "Group", "Supervision"]

Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]
Directive = Literal["resume", "restart", "stop"]

_STRATEGIES = ("one_for_one", "one_for_all", "rest_for_one")
_DIRECTIVES = ("resume", "restart", "stop")
_MOST_RESTARTS = 1_000_000


class Event(NamedTuple):
    """What happened to an actor: "started", "failed", "restarting", "stopped" or "gave_up"."""

    kind: str
    actor: str
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class Supervision:
    """What happens when an actor fails. As in Erlang/OTP, with a pause that grows before each restart.

    * `strategy`: "one_for_one" restarts the one that failed; "one_for_all" all of its group; "rest_for_one" that one
      and those that were started after it.
    * `restarts` in `period` seconds are allowed, to each actor with "one_for_one", else to the group; None for any
      number. One more, and what was to be restarted stops for good (`exhausted` = "stop"), or its group's supervisor
      fails in turn ("escalate").
    * `backoff` seconds before the first restart, twice as long before each one that follows, `backoff_most` at most,
      and up to the share `jitter` more or less, so that many do not come back at once. A quiet time of `period` and the
      last pause makes it short again.
    * `told`, `asked`: what a failure means, by whether somebody waits for the answer and so hears of it: "resume" goes
      on with the next message, "restart" puts a new actor in its place, "stop" ends it. `on` names exceptions for which
      it is something else. An exit of the process (SystemExit) raised in a handler stops the actor.

    A failure to start is a failure like any other. Messages that wait for an actor that is restarted wait on.

    Raises ValueError for a setting out of its range, TypeError for one of the wrong kind; each names the setting.
    Immutable, so any thread may use it. Example::

        >>> supervision = Supervision(restarts=10, period=60.0, on={KeyError: "resume"})
        >>> supervision.directive(OSError("disk gone"), asked=False)
        'restart'
        >>> supervision.directive(OSError("disk gone"), asked=True)
        'resume'
        >>> supervision.directive(KeyError("colour"), asked=False)
        'resume'
        >>> Supervision(told="ignore")
        Traceback (most recent call last):
            ...
        ValueError: told is 'ignore'; choose one of resume, restart, stop
    """

    strategy: Strategy = "one_for_one"
    restarts: int | None = 3
    period: float = 5.0
    backoff: float = 0.1
    backoff_most: float = 30.0
    jitter: float = 0.2
    told: Directive = "restart"
    asked: Directive = "resume"
    on: Mapping[type[BaseException], Directive] = field(default_factory=dict)
    exhausted: Literal["stop", "escalate"] = "stop"

    def __post_init__(self) -> None:
        _one_of("strategy", self.strategy, _STRATEGIES)
        _one_of("exhausted", self.exhausted, ("stop", "escalate"))
        for name in ("told", "asked"):
            _one_of(name, getattr(self, name), _DIRECTIVES)
        if not isinstance(self.on, Mapping):
            message = f"on is {self.on!r:.80}; give a mapping of classes of exceptions to what each means"
            raise TypeError(message)
        for kind, directive in self.on.items():
            if not (isinstance(kind, type) and issubclass(kind, BaseException)):
                message = f"on: {kind!r:.80} is no class of exceptions"
                raise TypeError(message)
            _one_of(f"on[{kind.__name__}]", directive, _DIRECTIVES)
        if self.restarts is not None and (isinstance(self.restarts, bool) or not isinstance(self.restarts, int)):
            message = f"restarts is {self.restarts!r:.80}; it is a whole number, or None for any number"
            raise TypeError(message)
        if self.restarts is not None and not 0 <= self.restarts <= _MOST_RESTARTS:
            message = f"restarts is {self.restarts!r:.80}; use 0 to {_MOST_RESTARTS:,}, or None for any number"
            raise ValueError(message)
        for name, least in (("period", 1e-3), ("backoff", 0.0), ("backoff_most", 0.0)):
            if not _is_number(value := getattr(self, name), least, 1e6):
                message = f"{name} is {value!r:.80}; use {least:g} to 1,000,000 seconds"
                raise ValueError(message)
        if not _is_number(self.jitter, 0.0, 1.0):
            message = f"jitter is {self.jitter!r:.80}; it is a share, 0 to 1"
            raise ValueError(message)

    def directive(self, error: BaseException, *, asked: bool) -> Directive:
        """What a failure means."""
        for kind in type(error).__mro__:
            if (found := self.on.get(kind)) is not None:
                return found
        if isinstance(error, SystemExit):
            return "stop"
        if isinstance(error, Unhandled):
            return "resume"
        return self.asked if asked else self.told

    def pause(self, attempt: int, chance: random.Random) -> float:
        """Seconds before the restart that follows `attempt` others."""
        pause = min(self.backoff_most, self.backoff * 2.0 ** min(attempt, 60))
        return pause * (1.0 + self.jitter * (2.0 * chance.random() - 1.0))


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        message = f"{name} is {value!r:.80}; choose one of {', '.join(allowed)}"
        raise ValueError(message)


def _is_number(value: object, least: float, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


class Budget:
    """Restarts that are allowed in a time, and how many in a row there were."""

    def __init__(self, supervision: Supervision) -> None:
        self._supervision = supervision
        self._times: deque[float] = deque(maxlen=(supervision.restarts or 0) + 1)
        self._attempt = 0
        self._quiet_from = -math.inf

    def renew(self) -> None:
        """Nothing is taken from it any more."""
        self._times.clear()
        self._attempt = 0

    def take(self, now: float, chance: random.Random) -> float | None:
        """The pause before another restart; None where there were too many."""
        supervision = self._supervision
        if supervision.restarts is not None:
            while self._times and self._times[0] <= now - supervision.period:
                self._times.popleft()
            if len(self._times) >= supervision.restarts:
                return None
            self._times.append(now)
        if now >= self._quiet_from:
            self._attempt = 0
        pause = supervision.pause(self._attempt, chance)
        self._attempt += 1
        self._quiet_from = now + 2.0 * pause + supervision.period
        return pause


class Group:
    """Actors under one supervision, in the order in which they were started, and the group above."""

    def __init__(self, name: str, supervision: Supervision, above: Group | None, chance: random.Random) -> None:
        self.name = name
        self.supervision = supervision
        self.above = above
        self.members: dict[Cell | Group, None] = {}
        self.budget = Budget(supervision)
        self._chance = chance
        self._budget_above: Budget | None = None

    def cells(self) -> list[Cell]:
        """All actors of the group and of those below it, in the order in which they were started."""
        found: list[Cell] = []
        for member in self.members:
            found += member.cells() if isinstance(member, Group) else [member]
        return found

    def add(self, member: Cell | Group) -> None:
        """One more, after those that are there. An empty group is in none."""
        if self.above is not None and not self.members:
            self.above.add(self)
        self.members[member] = None

    def leave(self, member: Cell | Group) -> None:
        """A member has ended for good."""
        self.members.pop(member, None)
        if self.above is not None and not self.members:
            self.above.leave(self)

    def failed(self, member: Cell | Group, budget: Budget, now: float, error: BaseException | None) -> None:
        """A member failed: restarts whom the strategy names, or gives up."""
        strategy = self.supervision.strategy
        if strategy == "one_for_one":
            affected: list[Cell | Group] = [member]
        else:
            budget = self.budget
            members = list(self.members)
            affected = members[0 if strategy == "one_for_all" else members.index(member) :]
        cells = [c for one in affected for c in (one.cells() if isinstance(one, Group) else [one])]
        pause = budget.take(now, self._chance)
        with ExitStack() as steps:  # the last first; an interrupt of one hinders none of the others
            if pause is not None:
                for cell in reversed(cells):
                    steps.callback(cell.restart, pause, error)
            elif self.supervision.exhausted == "escalate" and self.above is not None:
                budget.renew()  # as new after a restart from above
                steps.callback(self.above.failed, self, self.budget_above(), now, error)
                complain("the group %r gives up and fails: %r", self.name, error)
            else:
                for cell in cells:
                    steps.callback(cell.give_up, error)
                for cell in reversed(cells):
                    complain("actor %r failed too often and stops: %r", cell.name, error)

    def budget_above(self) -> Budget:
        """What the group above allows this one."""
        if self._budget_above is None and self.above is not None:
            self._budget_above = Budget(self.above.supervision)
        assert self._budget_above is not None
        return self._budget_above

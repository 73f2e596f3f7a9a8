"""Tallies of decisions: how many there were of each kind, counted without looking at each from Python.

A tally is for one thread at a time, with the GIL; it holds no decision. Cost: 10 ns a decision.
"""

cimport cython

from sophia._core.decision cimport Decision

from sophia._core import decision as _decision

cdef Py_ssize_t _MOST_SCOPES = 64

if len(_decision.WHYS) > MOST_WHYS:
    raise ImportError("more reasons than a tally counts")


def patterns_of(list decisions not None) -> tuple:
    """The pattern of each decision, 0 where it has none.

        >>> patterns_of([])
        ()
    """
    cdef Py_ssize_t i
    return tuple([(<Decision?>decisions[i])._pattern for i in range(len(decisions))])


@cython.final
cdef class Tally:
    """Counts decisions: `inputs` by route and why, `answered` from memory, hits of danger `rules`, and whose they were.

    `scopes` has up to 65 of them: more than 64 are too many to tell. `first_event` and `last_event` are
    event times as they were written, in seconds since 1970 where they stand in the text, or None.

        >>> import sophia
        >>> tally = Tally()
        >>> with sophia.open(None) as brain:
        ...     tally.add([brain.route("How do I turn on dark mode?"), brain.route("?")])
        >>> tally.inputs, tally.routes, tally.scopes
        (2, {'deep_thought': 2}, {''})
    """

    def __cinit__(self):
        self.rules = {}
        self.scopes = set()

    def add(self, list decisions not None) -> None:
        """Counts these, which came in this order after those before. TypeError for what is no decision."""
        cdef Decision one
        cdef str scope = None
        for one in decisions:
            if one is None:
                raise TypeError("a tally counts decisions, not None")
            if not self.inputs:
                self.first = one.n
            self.inputs += 1
            self.last = one.n
            self._routes[one._route] += 1
            self._whys[one._why] += 1
            self.answered += one.answer is not None
            if one.danger is not None:
                rule = one.danger.rule
                self.rules[rule] = self.rules.get(rule, 0) + 1
            if one.scope is not scope:
                scope = one.scope
                if len(self.scopes) <= _MOST_SCOPES:
                    self.scopes.add(scope)
            if one._moment:
                if self.first_event is None:
                    self.first_event = one.ts if one.ts is not None else one._moment
                self._last_ts, self._last_moment = one.ts, one._moment

    @property
    def last_event(self):
        """The event time of the last decision that has one."""
        return self._last_moment if self._last_ts is None and self._last_moment else self._last_ts

    @property
    def routes(self) -> dict:
        """How many had each route, those that some had."""
        return {_decision.ROUTES[i]: self._routes[i] for i in range(3) if self._routes[i]}

    @property
    def whys(self) -> dict:
        """How many had each why, the commonest first."""
        found = [(self._whys[i], i) for i in range(len(_decision.WHYS)) if self._whys[i]]
        return {_decision.WHYS[i]: count for count, i in sorted(found, key=lambda one: (-one[0], one[1]))}

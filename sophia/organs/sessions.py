"""Sessions: what is new about a sequence, although each of its lines is known.

Each session keeps the sequence of its lines' patterns. An order that was never seen (a run of `session_ngram` patterns)
raises the level of the line that completes it; counts that were never seen together are known when the session ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from sophia._core.decision import Decision, set_session
from sophia.config import Settings
from sophia.names import bounded
from sophia.store.session_table import Session, SessionRules, SessionTable

__all__ = ["Session", "Sessions"]

# Ended sessions that wait to be asked for; `sophia run` asks after each batch, which ends fewer.
_WAITING = 1 << 17


class Sessions:
    """Follows decisions by their sessions. Not thread-safe; :class:`sophia.Sophia` holds the lock.

    `claim` is told of an answer that was drawn for the audit and is withheld after all.
    """

    def __init__(
        self,
        settings: Settings,
        run: int,
        claim: Callable[[Decision], object],
        table: SessionTable | None,
        *,
        track: bool,
    ) -> None:
        self.table = SessionTable(seed=settings.seed, track=track) if table is None else table
        self.table.rules = SessionRules(
            settings.session_ngram,
            settings.session_counts == "exact",
            settings.session_learn,
            settings.session_limit,
            settings.session_length,
            settings.session_idle,
        )
        self._run = run
        self._claim = claim
        self._ended: deque[Session] = deque(maxlen=_WAITING)

    def follow(self, decisions: Sequence[Decision], names: Sequence[str | None]) -> None:
        """Puts decisions, in their order, into the sessions that are named; None and "" name none.

        May only raise a level. A danger, or a text that cannot be read, is never learned from.
        """
        observe = self.table.observe
        for decision, name in zip(decisions, names, strict=True):
            if not name:
                continue
            pattern = decision.pattern if decision.verdict == "allow" else None
            novel = observe(decision.scope, name, (self._run, decision.n), pattern or 0)
            if novel is not None and decision.audit and decision.agrees is None:
                self._claim(decision)
            set_session(decision, bounded(name), novel)
        self._ended.extend(self.table.take_ended())

    def end(self, name: str, scope: str) -> Session | None:
        """Ends one session and says what was new in it; None where it is not open."""
        return self.table.end(scope, name)

    def end_all(self) -> None:
        """Ends all sessions; `take_ended` has them."""
        self.table.end_all()
        self._ended.extend(self.table.take_ended())

    def take_ended(self) -> list[Session]:
        """The sessions that have ended since the last call, the last 131,072 of them, but for those asked to."""
        ended = list(self._ended)
        self._ended.clear()
        return ended

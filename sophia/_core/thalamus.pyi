from collections.abc import Callable
from typing import Any, Self, final

from sophia._core.cuckoo import GenerationalFilter
from sophia._core.decision import FAULTS as FAULTS
from sophia._core.decision import VERDICTS as VERDICTS
from sophia._core.decision import Decision
from sophia._core.encode import TextEncoder
from sophia._core.intent import IntentModel
from sophia._core.literals import LiteralSet
from sophia._core.pattern import PatternTable
from sophia._core.reflex import ReflexCache
from sophia._core.salience import Scale
from sophia._core.suspicion import Suspicion

@final
class HotPath:
    ask_store: bool
    answers_off: bool
    gestating: bool
    frozen: bool
    served: int
    @property
    def merges(self) -> list[tuple[int, int]]: ...
    tally: dict[str, Any]
    @property
    def audit(self) -> Any: ...
    def __new__(
        cls,
        *,
        patterns: PatternTable,
        familiar: GenerationalFilter,
        cache: ReflexCache | None,
        literals: LiteralSet,
        scan: Callable[[list[str]], list[Any]],
        clock: Callable[[], float],
        policy_version: str,
        run: int,
        message_danger: str,
        message_alarm: str,
        line_danger: str,
        message_reflex: bool,
        line_reflex: bool,
        max_chars: int,
        ttl: float,
        reflex_confidence: float,
        cortical_confidence: float,
        complex_limit: float,
        recall: Callable[[bytes], tuple[bytes, str, str, float] | None] | None = None,
        encoder: TextEncoder | None = None,
        reshape: Callable[[str], str] | None = None,
        audit: Any = None,
        suspect: Callable[[], Suspicion] | None = None,
        message_suspicion: float = 2.0,
    ) -> Self: ...
    def use_policy(
        self,
        *,
        cache: ReflexCache | None,
        literals: LiteralSet,
        scan: Callable[[list[str]], list[Any]],
        policy_version: str,
        message_danger: str,
        message_alarm: str,
        line_danger: str,
        message_reflex: bool,
        line_reflex: bool,
        max_chars: int,
        ttl: float,
        reflex_confidence: float,
        cortical_confidence: float,
        complex_limit: float,
        suspect: Callable[[], Suspicion] | None = None,
        message_suspicion: float = 2.0,
    ) -> None: ...
    def use(self, model: IntentModel | None) -> None: ...
    @property
    def model(self) -> IntentModel | None: ...
    def reflex_from(self, kind: str) -> float: ...
    def born(self, kind: str, scale: Scale, reflex_confidence: float) -> None: ...
    @property
    def busy(self) -> bool: ...
    @property
    def patterns(self) -> PatternTable: ...
    @property
    def familiar(self) -> GenerationalFilter: ...
    @property
    def cache(self) -> ReflexCache | None: ...
    @property
    def policy_version(self) -> str: ...
    @property
    def run(self) -> int: ...
    def route(
        self, text: str | None, n: int, scope: str | None = None, context: str | None = None, line: bool = False
    ) -> Decision: ...
    def route_batch(
        self,
        texts: list[str | None],
        n: int,
        scopes: list[str | None] | None = None,
        contexts: list[str | None] | None = None,
        answers: list[str | None] | None = None,
        stamps: list[str | None] | None = None,
        names: list[str | None] | None = None,
        lines: list[bool] | None = None,
        faults: list[str | None] | None = None,
    ) -> list[Decision]: ...
    def key(self, text: str, scope: str = "", context: str = "", line: bool = False) -> bytes: ...
    def store_answer(self, key: bytes, raw: bytes, answer: str, name: str, expires: float) -> bool: ...
    def reject(self, decision: Decision) -> bool: ...

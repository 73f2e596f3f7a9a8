from collections.abc import Callable
from typing import Final, NamedTuple, Self, SupportsFloat, SupportsIndex

from typing_extensions import disjoint_base

WINDOW_MOST: Final[int]
LONGEST: Final[float]

class BreakerDefaults(NamedTuple):
    name: str = "breaker"
    failure_rate: float = 0.5
    window: int = 100
    minimum_calls: int = 10
    open_seconds: float = 5.0
    open_most: float | None = None
    slow_seconds: float | None = None
    probe_seconds: float = 30.0

DEFAULTS: Final[BreakerDefaults]

class BreakerStats(NamedTuple):
    state: str
    calls: int
    failures: int
    slow: int
    refused: int
    late: int
    abandoned: int
    opened: int
    probes: int
    given_up: int
    window_calls: int
    window_failures: int
    subscriber_errors: int

@disjoint_base
class CircuitBreaker:
    def __new__(
        cls,
        *,
        name: str = ...,
        failure_rate: SupportsFloat = ...,
        window: SupportsIndex = ...,
        minimum_calls: SupportsIndex = ...,
        open_seconds: SupportsFloat = ...,
        open_most: SupportsFloat | None = ...,
        slow_seconds: SupportsFloat | None = ...,
        probe_seconds: SupportsFloat = ...,
        clock: Callable[[], float] = ...,
    ) -> Self: ...
    @property
    def name(self) -> str: ...
    @property
    def clock(self) -> Callable[[], float]: ...
    @property
    def failure_rate(self) -> float: ...
    @property
    def window(self) -> int: ...
    @property
    def minimum_calls(self) -> int: ...
    @property
    def open_seconds(self) -> float: ...
    @property
    def open_most(self) -> float: ...
    @property
    def slow_seconds(self) -> float | None: ...
    @property
    def probe_seconds(self) -> float: ...
    def admit(self) -> int: ...
    def try_admit(self) -> int: ...
    def allows(self) -> bool: ...
    def succeeded(self, ticket: int, *, seconds: float | None = None) -> None: ...
    def failed(self, ticket: int, *, seconds: float | None = None) -> None: ...
    def abandoned(self, ticket: int) -> None: ...
    @property
    def state(self) -> str: ...
    def stats(self) -> BreakerStats: ...
    def reset(self) -> None: ...
    def trip(self) -> None: ...
    def subscribe(self, callback: Callable[[str, str, str, str], object]) -> None: ...
    def unsubscribe(self, callback: Callable[[str, str, str, str], object]) -> bool: ...

"""The settings of a brain: frozen, validated once, read by everyone below."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from sophia.errors import ConfigError

__all__ = ["Settings"]

_BOUNDS = {
    "seed": (0, 2**64 - 1),
    "max_chars": (1, 2**24),
    "cache_bytes": (1 << 16, 2**48),
    "cache_entries": (16, 2**28),
    "pattern_capacity": (16, 2**26),
    "familiar_capacity": (64, 2**32),
}
# Of the cache's tables alone; see ReflexCache.
_BYTES_FOR_AN_ENTRY = 64


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user may set. Bad values raise ConfigError; `with_changes` gives an altered copy.

    on_danger: "veto" (a danger hit is refused), "flag" (it is reported and thought about), or "auto": lines
        are flagged, messages vetoed, but for rules that only report (`alarm`), which flag.
    reflex_messages, reflex_lines: whether a known pattern may be handled by reflex although no answer is
        stored for it: right for log lines, wrong for questions.
    reflex_confidence, cortical_confidence: least confidence for REFLEX by pattern, and for not being doubtful.
    complex_limit: complexity from which on the level rises by one.
    max_chars: longer texts are not compared with anything; they go to DEEP_THOUGHT.
    ttl: seconds after which a stored answer is no longer served; 0 keeps it.
    vectors: whether each new decision carries the memory vector of its text (10 to 40 us a text) and the IDF
        table learns from it.
    cache: whether answers are served from memory at all.
    cache_bytes, cache_entries, pattern_capacity, familiar_capacity: bounds of memory.
    seed: seeds hashes that can reach a decision (the familiarity filter), so that runs repeat exactly.
    """

    on_danger: str = "auto"
    reflex_messages: bool = False
    reflex_lines: bool = True
    reflex_confidence: float = 0.75
    cortical_confidence: float = 0.5
    complex_limit: float = 0.75
    max_chars: int = 20_000
    ttl: float = 0.0
    vectors: bool = False
    cache: bool = True
    cache_bytes: int = 64 << 20
    cache_entries: int = 200_000
    pattern_capacity: int = 50_000
    familiar_capacity: int = 1_000_000
    seed: int = 0x50F1A

    def __post_init__(self) -> None:
        for name in ("reflex_confidence", "cortical_confidence", "complex_limit", "ttl"):
            if isinstance(getattr(self, name), bool) or not isinstance(getattr(self, name), int | float):
                message = f"{name} is {getattr(self, name)!r}; it must be a number"
                raise ConfigError(message)
        if self.on_danger not in ("auto", "veto", "flag"):
            message = f"on_danger is {self.on_danger!r}; use 'auto', 'veto' or 'flag'"
            raise ConfigError(message)
        for name in ("reflex_confidence", "cortical_confidence", "complex_limit"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                message = f"{name} is {value!r}; it is a share between 0 and 1"
                raise ConfigError(message)
        if self.reflex_confidence < self.cortical_confidence:
            message = (
                f"reflex_confidence {self.reflex_confidence} is below cortical_confidence "
                f"{self.cortical_confidence}; a reflex needs at least as much"
            )
            raise ConfigError(message)
        for name, (least, most) in _BOUNDS.items():
            value = getattr(self, name)
            if not isinstance(value, int) or not least <= value <= most:
                message = f"{name} is {value!r}; it must be a whole number from {least} to {most}"
                raise ConfigError(message)
        if self.cache_bytes < _BYTES_FOR_AN_ENTRY * self.cache_entries:
            message = (
                f"cache_bytes {self.cache_bytes} cannot hold the tables of {self.cache_entries} entries; "
                f"give at least {_BYTES_FOR_AN_ENTRY * self.cache_entries}, or fewer cache_entries"
            )
            raise ConfigError(message)
        if not self.ttl >= 0.0:
            message = f"ttl is {self.ttl!r} seconds; use 0 to keep answers, or a positive number"
            raise ConfigError(message)

    def with_changes(self, **changes: object) -> Settings:
        """A copy with some settings changed and all checked again."""
        unknown = set(changes) - {field.name for field in fields(self)}
        if unknown:
            message = f"unknown setting {', '.join(sorted(unknown))}; see sophia.config.Settings"
            raise ConfigError(message)
        return replace(self, **changes)  # type: ignore[arg-type]

    def decision_text(self) -> str:
        """The settings that can change a decision, as one stable line; part of the policy version."""
        return (
            f"{self.on_danger} {self.reflex_messages} {self.reflex_lines} {self.reflex_confidence!r} "
            f"{self.cortical_confidence!r} {self.complex_limit!r} {self.max_chars} {self.seed}"
        )

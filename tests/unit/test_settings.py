"""Settings: frozen, and checked with the value, the place and the cure."""

from __future__ import annotations

import pytest

from sophia import Settings
from sophia.errors import ConfigError


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"on_danger": "shrug"}, "'shrug'"),
        ({"reflex_confidence": 1.5}, "1.5"),
        ({"cortical_confidence": float("nan")}, "nan"),
        ({"cortical_confidence": 0.9}, "below"),
        ({"max_chars": 0}, "max_chars"),
        ({"ttl": -1.0}, "ttl"),
        ({"cache_entries": 1.5}, "cache_entries"),
        ({"seed": "x"}, "seed"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_bad_values_name_themselves(changes: dict[str, object], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        Settings().with_changes(**changes)


def test_settings_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Settings().ttl = 1.0  # type: ignore[misc]


def test_decisions_depend_on_what_the_policy_names() -> None:
    assert Settings().decision_text() == Settings(cache=False, ttl=5.0).decision_text()
    assert Settings().decision_text() != Settings(max_chars=10).decision_text()

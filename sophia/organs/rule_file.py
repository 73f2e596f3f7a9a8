"""Files of danger rules: TOML in, checked rules out, every complaint with file and line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

from sophia.errors import RuleError
from sophia.toml_file import TomlFile, blank_strings

__all__ = ["SEVERITIES", "Place", "Rule", "read_rules"]

SEVERITIES = {"low": 0.25, "medium": 0.5, "high": 0.75, "critical": 1.0}
"""The words that a rule file may use for a severity; a number from 0 to 1 does as well."""

_MAX_PATTERN = 4000
_REQUIRED = ("id", "description", "pattern", "severity")
_LISTS = ("examples", "counter_examples")
_OPTIONAL = ("alarm", *_LISTS)

_ID = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
# Only sought when a rule is refused; `re` keeps what it compiled.
_TABLE = r"\s*\[\[\s*(?:rule|\"rule\"|'rule')\s*\]\]"


class Place:
    """Where one rule stands. The line is looked for only when somebody asks: most rules are fine."""

    __slots__ = ("_number", "_text", "path")

    def __init__(self, path: str, text: str = "", number: int = 0) -> None:
        self.path = path
        self._text = text
        self._number = number

    def at(self, key: str = "") -> str:
        """``FILE:LINE`` of a key of the rule, or of the rule itself."""
        blank = blank_strings(self._text).split("\n")
        tables = [number for number, line in enumerate(blank) if re.match(_TABLE, line)]
        if self._number >= len(tables):
            return f"{self.path}:1"
        first = tables[self._number]
        end = tables[self._number + 1] if self._number + 1 < len(tables) else len(blank)
        lines = self._text.split("\n")
        for number in range(first + 1, end):
            name = lines[number].partition("=")[0].strip().strip("\"'")
            if key and name == key and "=" in blank[number]:
                return f"{self.path}:{number + 1}"
        return f"{self.path}:{first + 1}"

    def refuse(self, what: str, key: str = "") -> NoReturn:
        """Raises the RuleError about this rule."""
        message = f"{self.at(key)}: {what}"
        raise RuleError(message)


class Rule(NamedTuple):
    """One rule, as it stands in a file."""

    id: str
    description: str
    pattern: str
    """RE2 syntax; case does not matter unless the pattern says so with ``(?-i:...)``."""
    severity: float
    """From 0 (a remark) to 1."""
    examples: tuple[str, ...] = ()
    """Texts that the pattern matches; checked by the tests, and for user rules at load."""
    counter_examples: tuple[str, ...] = ()
    """Texts that it does not match."""
    alarm: bool = False
    """Reported, not refused: a hit on a message is a flag where that of another rule is a veto."""
    place: Place = Place("<rules>")


def read_rules(path: str) -> list[Rule]:
    """The rules of one TOML file, in order; everything is checked but what the patterns mean.

    Raises RuleError for a file that cannot be read, is over 4 MiB, not UTF-8 or not TOML, and for missing,
    unknown or mistyped keys.
    """
    file = TomlFile(path, "rule file", RuleError)
    table, text = file.table, file.text
    for key in table:
        if key != "rule":
            line = next((n for n, line in enumerate(text.split("\n"), 1) if key in line), 1)
            file.refuse(line, f"unknown key {key!r}; a rule file holds [[rule]] tables only")
    entries = table.get("rule", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        file.refuse(1, "`rule` must be an array of tables: write [[rule]]")
    return [_rule(entry, Place(path, text, number)) for number, entry in enumerate(entries)]


def _rule(entry: Mapping[str, Any], place: Place) -> Rule:
    for key in _REQUIRED:
        if key not in entry:
            place.refuse(f"the rule has no {key!r}")
    for key, value in entry.items():
        if key == "alarm":
            if not isinstance(value, bool):
                place.refuse("'alarm' must be true or false", key)
        elif key in _LISTS:
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                place.refuse(f"{key!r} must be a list of strings", key)
        elif key not in _REQUIRED:
            place.refuse(f"unknown key {key!r}; a rule has {', '.join(_REQUIRED + _OPTIONAL)}", key)
        elif key != "severity" and not (isinstance(value, str) and value):
            place.refuse(f"{key!r} must be a string that is not empty", key)
    if not _ID.fullmatch(entry["id"]):
        place.refuse("'id' must be 1 to 64 small letters, digits, dots, dashes and underscores", "id")
    if len(entry["pattern"]) > _MAX_PATTERN:
        place.refuse(f"'pattern' is over {_MAX_PATTERN} characters", "pattern")
    return Rule(
        entry["id"],
        entry["description"],
        entry["pattern"],
        _severity(entry["severity"], place),
        tuple(entry.get("examples", ())),
        tuple(entry.get("counter_examples", ())),
        entry.get("alarm", False),
        place,
    )


def _severity(value: object, place: Place) -> float:
    if isinstance(value, str) and value in SEVERITIES:
        return SEVERITIES[value]
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= 1:
        place.refuse(f"'severity' must be a number from 0 to 1 or one of {', '.join(SEVERITIES)}", "severity")
    return float(value)

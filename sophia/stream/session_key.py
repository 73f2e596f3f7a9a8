"""Where the session of an input is found: under a key, in a column, or in the text itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import re2

from sophia.errors import ConfigError
from sophia.stream.event import Event

__all__ = ["SessionKey"]

_PATTERN = "re:"


class SessionKey:
    """The values of `--session-key`: names of keys or columns, and `re:PATTERN` with one group, sought in the text.

    Names come first, then patterns, each in the given order; the first that gives something is the session. A pattern
    is one of RE2, so no text makes it slow; about 5 us a text. ConfigError for one that cannot be used.

        >>> from sophia.stream.event import Event
        >>> key = SessionKey(("job", r"re:(blk_-?[0-9]+)"))
        >>> key.names, key.of([Event(1, "-", 1, "Receiving block blk_-7 src: /192.0.2.1"), Event(2, "-", 2, "up")])
        (('job',), ['blk_-7', None])
    """

    __slots__ = ("_patterns", "names")

    def __init__(self, values: Sequence[str]) -> None:
        self.names = tuple(value for value in values if not value.startswith(_PATTERN))
        self._patterns = [_compiled(value) for value in values if value.startswith(_PATTERN)]

    def of(self, events: Sequence[Event]) -> list[str | None]:
        """The session of each event, None where it has none."""
        if not self._patterns:
            return [event.session for event in events]
        return [event.session or self._found(event.text) for event in events]

    def _found(self, text: str | None) -> str | None:
        if text is not None:
            for pattern in self._patterns:
                match = pattern.search(text)
                found: str | None = None if match is None else match.group(1)
                if found:
                    return found
        return None


def _compiled(value: str) -> re2._Regexp:
    options = re2.Options()
    options.log_errors = False
    try:
        pattern = re2.compile(value[len(_PATTERN) :], options)
    except re2.error as error:
        said = error.args[0] if error.args else error
        _refuse(value, f"RE2 does not take it: {said.decode(errors='replace') if isinstance(said, bytes) else said}")
    if pattern.groups != 1:
        _refuse(value, f"it has {pattern.groups} groups; put (...) around the one part that names the session")
    return pattern


def _refuse(value: str, complaint: str) -> NoReturn:
    message = f"--session-key {value}: {complaint}"
    raise ConfigError(message)

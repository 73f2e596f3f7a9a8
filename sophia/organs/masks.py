"""The user's masks: what varies in a text and is not to make it new, beside the built-in masks."""

from __future__ import annotations

import os
from typing import NoReturn

import re2

from sophia.errors import ConfigError

__all__ = ["Masks"]

_MAX_FILE = 64 << 10
_MAX_MASKS = 200
_SLOT = "<*>"
# The pattern stage takes as many bytes of a text.
_LOOKED_AT = 4096


class Masks:
    """Patterns whose matches become slots before a text is compared with known patterns. Never part of a cache key.

    One RE2 pattern a line; blank lines and lines that begin with # are passed over; where two match at one place the
    upper one counts. The built-in masks follow. Immutable; thread-safe. 1 to 5 us a text, by its first 4,096
    characters.

        >>> Masks(["user-[a-z]+", "§[^§]*§"], "masks.txt").apply("user-ana said §hello§")
        '<*> said <*>'
    """

    __slots__ = ("_expression", "patterns")

    def __init__(self, lines: list[str], path: str) -> None:
        options = re2.Options()
        options.log_errors = False
        self.patterns: list[str] = []
        for number, raw in enumerate(lines, 1):
            line = raw.strip()
            if not line or line.startswith("#"):
                continue
            try:
                empty = re2.compile(line, options).search("") is not None
            except re2.error as error:
                _refuse(path, number, f"RE2 does not take this mask: {_words(error)}")
            if empty:
                _refuse(path, number, "this mask matches the empty text, so it would be everywhere")
            self.patterns.append(line)
        if len(self.patterns) > _MAX_MASKS:
            _refuse(path, 1, f"{len(self.patterns)} masks are over {_MAX_MASKS}; join some by |")
        if not self.patterns:
            _refuse(path, 1, "no mask in it; write one RE2 pattern a line, or use --mask auto")
        try:
            self._expression = re2.compile("|".join(f"(?:{pattern})" for pattern in self.patterns), options)
        except re2.error as error:
            _refuse(path, 1, f"RE2 does not take these masks together: {_words(error)}")

    @classmethod
    def load(cls, path: str) -> Masks:
        """The masks of a file. Raises ConfigError, with file and line, for one that cannot be taken."""
        try:
            with open(path, "rb") as file:  # noqa: PTH123 (pathlib costs start-up time)
                data = file.read(_MAX_FILE + 1)
        except (OSError, ValueError) as error:
            _refuse(path, 1, f"the mask file cannot be read: {getattr(error, 'strerror', None) or error}")
        if len(data) > _MAX_FILE:
            _refuse(path, 1, f"the mask file is over {_MAX_FILE >> 10} KiB")
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            _refuse(path, data.count(b"\n", 0, error.start) + 1, f"the mask file is not UTF-8: {error.reason}")
        return cls(text.split("\n"), os.fspath(path))

    def apply(self, text: str) -> str:
        """The text with slots in it; what lies behind its first 4,096 characters is not looked at by anybody."""
        head = text[:_LOOKED_AT]
        masked: str = self._expression.sub(_SLOT, head) if self._expression.search(head) is not None else head
        return masked


def _refuse(path: str, line: int, complaint: str) -> NoReturn:
    message = f"{path}:{line}: {complaint}"
    raise ConfigError(message)


def _words(error: Exception) -> str:
    """What RE2 says; its binding hands over bytes."""
    said = error.args[0] if error.args else error
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)

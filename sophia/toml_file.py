"""TOML files that people write: bounded, and every complaint with its line."""

from __future__ import annotations

import re
from typing import Any, NoReturn

from sophia.errors import ConfigError

__all__ = ["TomlFile", "blank_strings"]

_MAX_FILE = 4 << 20
# Only sought when something is refused; `re` keeps what it compiled.
_STRING = r'(?s)"""(?:[^\\]|\\.)*?"""|\'\'\'.*?\'\'\'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#[^\n]*'


class TomlFile:
    """One file, read whole: `table` is what it says, `text` how it is written.

    Raises `error` (a ConfigError) for a file that cannot be read, is over 4 MiB, not UTF-8 or not TOML; `what` is
    its name in the message.
    """

    __slots__ = ("_error", "path", "table", "text")

    def __init__(self, path: str, what: str, error: type[ConfigError] = ConfigError) -> None:
        import tomli

        self.path = path
        self._error = error
        try:
            with open(path, "rb") as file:  # noqa: PTH123 (pathlib costs start-up time)
                data = file.read(_MAX_FILE + 1)
        except (OSError, ValueError) as problem:
            self.refuse(1, f"the {what} cannot be read: {getattr(problem, 'strerror', None) or problem}")
        if len(data) > _MAX_FILE:
            self.refuse(1, f"the {what} is over {_MAX_FILE >> 20} MiB")
        try:
            self.text = data.decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError as problem:
            self.refuse(data.count(b"\n", 0, problem.start) + 1, f"the {what} is not UTF-8: {problem.reason}")
        try:
            self.table: dict[str, Any] = tomli.loads(self.text)
        except tomli.TOMLDecodeError as problem:
            self.refuse(problem.lineno, f"the {what} is not TOML: {problem.msg}")
        except (RecursionError, ValueError) as problem:  # nested without end, or a number of thousands of digits
            self.refuse(1, f"the {what} cannot be read: {problem}")

    def refuse(self, line: int, complaint: str) -> NoReturn:
        """Raises the error, with file and line."""
        message = f"{self.path}:{line}: {complaint}"
        raise self._error(message)

    def line_of(self, section: str, key: str = "") -> int:
        """The line of a section, or of a key in it; 1 where neither is written in a plain way."""
        inside = False
        found = 1
        lines = self.text.split("\n")
        for number, blank in enumerate(blank_strings(self.text).split("\n"), 1):
            raw = lines[number - 1]
            if re.match(r"\s*\[", blank) and "=" not in blank:
                inside = raw.partition("]")[0].strip(" \t[\"'") == section
                if inside and found == 1:
                    found = number
            elif "=" in blank:
                name = raw.partition("=")[0].replace('"', "").replace("'", "").replace(" ", "").replace("\t", "")
                if name == f"{section}.{key}" or (inside and key and name == key):
                    return number
                if name in (section, key) and found == 1:
                    found = number
        return found


def blank_strings(text: str) -> str:
    """The text with its strings and comments, which may hold anything, taken out and its line breaks kept.

    >>> blank_strings('a = "[b]" # c')
    'a =  '
    """
    return re.sub(_STRING, lambda found: "\n" * found[0].count("\n"), text)

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

    __slots__ = ("_error", "_lines", "path", "table", "text")

    def __init__(self, path: str, what: str, error: type[ConfigError] = ConfigError) -> None:
        import tomli

        self.path = path
        self._error = error
        self._lines: tuple[dict[tuple[str, str], int], dict[str, int], dict[str, int]] | None = None
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
        """The line of a section, or of a key in it; 1 where neither is written in a plain way. The first look takes
        microseconds a line, a further one none."""
        if self._lines is None:
            self._lines = self._indexed()
        inside, names, headers = self._lines
        exact = [inside.get((section, key)) if key else None, names.get(f"{section}.{key}")]
        near = [headers.get(section), names.get(section), names.get(key) if key else None]
        for lines in (exact, near):
            if found := [line for line in lines if line is not None]:
                return min(found)
        return 1

    def _indexed(self) -> tuple[dict[tuple[str, str], int], dict[str, int], dict[str, int]]:
        """The first line of each key in its section, of each key, and of each section."""
        inside: dict[tuple[str, str], int] = {}
        names: dict[str, int] = {}
        headers: dict[str, int] = {}
        section = ""
        lines = self.text.split("\n")
        for number, blank in enumerate(blank_strings(self.text).split("\n"), 1):
            raw = lines[number - 1]
            if re.match(r"\s*\[", blank) and "=" not in blank:
                section = raw.partition("]")[0].strip(" \t[\"'")
                headers.setdefault(section, number)
            elif "=" in blank:
                name = raw.partition("=")[0].replace('"', "").replace("'", "").replace(" ", "").replace("\t", "")
                inside.setdefault((section, name), number)
                names.setdefault(name, number)
        return inside, names, headers


def blank_strings(text: str) -> str:
    """The text with its strings and comments, which may hold anything, taken out and its line breaks kept.

    >>> blank_strings('a = "[b]" # c')
    'a =  '
    """
    return re.sub(_STRING, lambda found: "\n" * found[0].count("\n"), text)

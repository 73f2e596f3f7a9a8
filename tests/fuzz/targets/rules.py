"""Rule files: any bytes are read or refused with file and line; what is read scans as brute force does."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from oracle.danger import Oracle

from fuzz.tape import Tape
from sophia.errors import RuleError
from sophia.organs.danger import RuleSet
from sophia.organs.rule_file import read_rules

_FOLDER = tempfile.TemporaryDirectory(prefix="sophia-fuzz-")
_FILE = Path(_FOLDER.name) / "rules.toml"


def _rule(pattern: str, more: str = "") -> str:
    return f"[[rule]]\nid = 'r'\ndescription = 'd'\nseverity = 'high'\npattern = '''{pattern}'''\n{more}"


def seeds() -> list[bytes]:
    files = (
        _rule(r"\bsudo\s+(?:rm|dd)\b", "examples = ['sudo rm']\ncounter_examples = ['pseudo rm']\n"),
        _rule(r"(?i)a[b-d]{2,5}(?P<hit>x|y)?$", "alarm = true\n"),
        _rule(r"\Qa.b\E|[[:alpha:]]+?(?-i:K)"),
        _rule("x{33}") + _rule("y"),
        '# comment\nrule = [{id = "a", description = "d", pattern = "p", severity = 0.5}]\n',
        "[[rule]]\nid = 'a'\nseverity = inf\n",
        "x = [" * 300,
    )
    return [b"sudo rm x abc k\0" + file.encode() for file in files]


def check(data: bytes) -> None:
    tape = Tape(data)
    text = tape.until(b"\0").decode("utf-8", "replace")
    _FILE.write_bytes(tape.rest())
    try:
        rules = read_rules(str(_FILE))
        made = RuleSet.load([_FILE], shipped=False)
    except RuleError as error:
        assert re.match(rf"{re.escape(str(_FILE))}:[1-9]\d*: .", str(error), re.DOTALL), error
        return
    except ValueError as error:
        raise AssertionError(f"not an error about the file: {error!r}") from error
    assert len(made) == len(rules)
    expected = Oracle(made).scan(text)
    assert made.scan(text) == expected
    assert made.scan_many([text] * 9) == [expected] * 9

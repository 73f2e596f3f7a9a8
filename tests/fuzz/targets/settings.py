"""Settings files and mask files: read, or refused with file and line for everything that is wrong."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from fuzz.tape import Tape
from sophia.config import read_config
from sophia.errors import ConfigError
from sophia.organs.masks import Masks

_FOLDER = tempfile.TemporaryDirectory(prefix="sophia-fuzz-")
_FILE = Path(_FOLDER.name) / "given"


def seeds() -> list[bytes]:
    files = (
        '[thalamus]\non_danger = "veto"\nreflex_confidence = 0.8\nseed = 7\n[memory]\nmax_memory = "256M"\n',
        '[run]\nformat = "jsonl"\ntext_key = ["a", "b"]\nfail_on = ["novel>5%"]\nstore = "mind"\nrate = 1e3\n',
        "[thalamus]\nttl = '3d'\nmax_chars = -1\nreflex_confidence = nan\nonn_danger = 5\n[nothing]\n",
        "[memory]\ncache_bytes = '64M'\ncache_entries = 16\npattern_capacity = 1979-05-27\n[run]\nlimit = true\n",
    )
    masks = ("user-[a-z]+\n# remark\n\n\u00a7[^\u00a7]*\u00a7\n", "(", "a*\n", r"(?i)\bid=\w+" + "\n" + r"\d{3,}")
    return [b"\0" + text.encode() for text in files] + [b"\1user-ana id=7 12345\0" + text.encode() for text in masks]


def check(data: bytes) -> None:
    tape = Tape(data)
    if tape.number(1):
        text = tape.until(b"\0").decode(errors="replace")
        _FILE.write_bytes(tape.rest())
        try:
            masks = Masks.load(str(_FILE))
        except ConfigError as error:
            _names_its_place(error)
            return
        assert masks.patterns
        assert Masks(masks.patterns, "again").apply(text) == masks.apply(text)
        return
    _FILE.write_bytes(tape.rest())
    try:
        settings, run = read_config(_FILE)
    except ConfigError as error:
        _names_its_place(error)
        return
    # what was taken is whole: the checks of a setting made in Python hold for it too
    assert settings.with_changes(**settings.changed()) == settings
    assert run.with_changes(**run.changed()) == run
    assert settings.decision_text()


def _names_its_place(error: ConfigError) -> None:
    assert re.match(rf"{re.escape(str(_FILE))}:[1-9]\d*: .", str(error), re.DOTALL), error

"""The key of an answer taken apart: the kind of input, its scope and its context, then its normal form."""

from __future__ import annotations

import struct
from typing import NamedTuple

__all__ = ["AnswerKey", "split_key"]

_LENGTHS = struct.Struct("=cII")  # as HotPath.key puts it together
_KINDS = {b"m": "message", b"l": "line"}


class AnswerKey(NamedTuple):
    """Whose answer it is, and for what."""

    kind: str
    scope: str
    context: str
    form: str


def split_key(key: bytes) -> AnswerKey | None:
    """The parts of a key, or None for bytes that are none."""
    if len(key) < _LENGTHS.size:
        return None
    kind, scope, context = _LENGTHS.unpack_from(key)
    start = _LENGTHS.size
    if kind not in _KINDS or start + scope + context > len(key):
        return None
    parts = key[start : start + scope], key[start + scope : start + scope + context], key[start + scope + context :]
    try:
        return AnswerKey(_KINDS[kind], *[part.decode() for part in parts])
    except UnicodeDecodeError:
        return None

"""Complaints: what the runtime of actors says to the log, whatever that does."""

from __future__ import annotations

import logging
from typing import Any

__all__ = ["complain"]

_log = logging.getLogger("sophia.actors")


def complain(words: str, *values: Any, exc_info: Any = None, level: int = logging.ERROR) -> None:
    """To the log. A handler or filter of the log that fails must not end the actor that it was to tell of."""
    try:
        _log.log(level, words, *values, exc_info=exc_info, stacklevel=2)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise

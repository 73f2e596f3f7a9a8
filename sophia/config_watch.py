"""A settings file that is watched: each change of what it says, as it comes.

The folder is watched and not the file, since many an editor saves by renaming another over it. Needs watchfiles (the
extra `brain`).
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from sophia.config import RunSettings, Settings, read_config
from sophia.errors import ConfigError

__all__ = ["ConfigVersion", "watch_config"]

_DEBOUNCE = 50  # ms in which the writes of one save are taken together
_STEP = 20  # ms
_LOOK = 500  # ms after which the file is looked at even if no change of its folder was told


class ConfigVersion(NamedTuple):
    """What a settings file says from some moment on: its settings, or the `error` that keeps them from being read.

    `number` counts from 1 what could be read; with an error it is that of the last good one, or 0.
    """

    number: int
    settings: Settings | None
    run: RunSettings | None
    error: ConfigError | None


async def watch_config(
    path: str | os.PathLike[str], *, load: Callable[[], tuple[Settings, RunSettings]] | None = None
) -> AsyncGenerator[ConfigVersion, None]:
    """What the settings file `path` says now, then each time that it says something else, until the caller stops.

    A file that is saved as it was is no change, and an error is told once. A change is seen within a second, also one
    by rename, by a symbolic link that is turned, and after the file was gone. Saves within 50 ms are one change. `load`
    reads it, where more than the file has a say; else `read_config` does.
    ConfigError where the folder is none, or watchfiles is missing. For one task of an asyncio loop; end it with
    `aclosing`, which lets the thread go that watches.

        >>> import asyncio, tempfile
        >>> async def first(text):
        ...     with tempfile.TemporaryDirectory() as folder:
        ...         path = Path(folder, "sophia.toml")
        ...         path.write_text(text)
        ...         async with aclosing(watch_config(path)) as versions:
        ...             return await anext(versions)
        >>> asyncio.run(first("[memory]\\nttl = '30d'")).settings.ttl
        2592000.0
    """
    if find_spec("watchfiles") is None:
        message = "watching a settings file needs watchfiles; pip install 'sophia-hlb[brain]'"
        raise ConfigError(message)
    from watchfiles import awatch

    file = Path(path)
    if not file.parent.is_dir():
        message = f"{file.parent} is no folder; a settings file is watched in the folder where it is, or will be"
        raise ConfigError(message)
    read = (lambda: read_config(file)) if load is None else load
    told = _read(file, read, 0)
    yield told
    # Every turn looks, also the first and those without a change: what was saved before the watch stood is seen, too.
    looks = awatch(
        file.parent,
        watch_filter=None,
        debounce=_DEBOUNCE,
        step=_STEP,
        rust_timeout=_LOOK,
        yield_on_timeout=True,
        recursive=False,
    )
    async with aclosing(looks):
        async for _ in looks:
            found = _read(file, read, told.number)
            if not _same(found, told):
                told = found
                yield told


def _read(file: Path, read: Callable[[], tuple[Settings, RunSettings]], number: int) -> ConfigVersion:
    """What the file says; its number, should that be new."""
    try:
        if file.exists() and not file.is_file():  # to open a pipe may wait for ever, and it says a thing once
            message = f"{file}:1: the settings file is no regular file, and only such a one is followed"
            raise ConfigError(message)
        settings, run = read()
    except ConfigError as error:
        return ConfigVersion(number, None, None, error)
    return ConfigVersion(number + 1, settings, run, None)


def _same(one: ConfigVersion, other: ConfigVersion) -> bool:
    return (one.settings, one.run, str(one.error)) == (other.settings, other.run, str(other.error))

"""Settings files that are watched while people and programs save them in every way."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from time import monotonic, sleep

import pytest

from sophia.config_watch import ConfigVersion, watch_config
from sophia.errors import ConfigError

Versions = AsyncGenerator[ConfigVersion, None]


def run(path: Path, story: Callable[[Versions], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), aclosing(watch_config(path)) as versions:
            await story(versions)

    asyncio.run(main())


def by_rename(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text)
    beside.replace(path)


def ttl(seconds: float) -> str:
    return f"[memory]\nttl = {seconds}\n"


@pytest.mark.parametrize("save", [by_rename, Path.write_text])
def test_a_file_that_is_saved_twice_is_seen_twice(tmp_path: Path, save: Callable[[Path, str], object]) -> None:
    path = tmp_path / "sophia.toml"
    path.write_text(ttl(1))

    async def story(versions: Versions) -> None:
        for number, seconds in enumerate([1, 2, 3, 1], 1):
            if number > 1:
                save(path, ttl(seconds))
            seen = await anext(versions)
            while seen.settings is None or seen.settings.ttl != seconds:  # the file may be seen while it is written
                seen = await anext(versions)
            assert seen.error is None

    run(path, story)


def test_versions_count_what_could_be_read(tmp_path: Path) -> None:
    path = tmp_path / "sophia.toml"

    async def story(versions: Versions) -> None:
        first = await anext(versions)
        assert (first.number, first.settings) == (0, None)
        assert "cannot be read" in str(first.error)
        by_rename(path, ttl(5))
        assert (await anext(versions)).number == 1
        by_rename(path, "[memory]\nttl = -5\ntt = 1\n")
        wrong = await anext(versions)
        assert (wrong.number, wrong.settings, wrong.run) == (1, None, None)
        assert "sophia.toml:2: ttl is -5" in str(wrong.error)
        assert "sophia.toml:3: unknown key 'tt'" in str(wrong.error)
        by_rename(path, ttl(5))  # what it said before, which is a change from the error
        assert (await anext(versions)).number == 2
        path.unlink()
        assert "cannot be read" in str((await anext(versions)).error)

    run(path, story)


def test_a_file_that_is_saved_as_it_was_is_no_change(tmp_path: Path) -> None:
    path = tmp_path / "sophia.toml"
    path.write_text(ttl(1))

    async def story(versions: Versions) -> None:
        await anext(versions)
        by_rename(path, ttl(1))
        by_rename(path, "# another word\n" + ttl(1))
        later = asyncio.ensure_future(anext(versions))
        done, _ = await asyncio.wait([later], timeout=1.5)  # three looks
        assert not done
        by_rename(path, ttl(2))
        assert (await later).number == 2

    run(path, story)


def test_a_link_that_is_turned_to_another_folder_is_seen(tmp_path: Path) -> None:
    for name, seconds in [("one", 1), ("two", 2)]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "sophia.toml").write_text(ttl(seconds))
    watched = tmp_path / "etc"
    watched.mkdir()
    (watched / "data").symlink_to(tmp_path / "one")
    (watched / "sophia.toml").symlink_to("data/sophia.toml")

    async def story(versions: Versions) -> None:
        assert (await anext(versions)).settings.ttl == 1  # type: ignore[union-attr]
        (watched / "new").symlink_to(tmp_path / "two")
        (watched / "new").replace(watched / "data")
        assert (await anext(versions)).settings.ttl == 2  # type: ignore[union-attr]
        by_rename(tmp_path / "two" / "sophia.toml", ttl(3))  # a change of which the watched folder is told nothing
        assert (await anext(versions)).settings.ttl == 3  # type: ignore[union-attr]

    run(watched / "sophia.toml", story)


def test_what_is_saved_between_two_questions_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "sophia.toml"
    path.write_text(ttl(1))

    async def story(versions: Versions) -> None:
        await anext(versions)
        by_rename(path, ttl(2))  # before the watch stands
        assert (await anext(versions)).settings.ttl == 2  # type: ignore[union-attr]
        for seconds in (3, 4, 5):
            by_rename(path, ttl(seconds))
            await asyncio.sleep(0.1)
        seen = await anext(versions)
        while seen.settings.ttl != 5:  # type: ignore[union-attr]
            seen = await anext(versions)

    run(path, story)


def test_nothing_is_left_of_a_watch(tmp_path: Path) -> None:
    path = tmp_path / "sophia.toml"

    async def story(versions: Versions) -> None:
        for seconds in (1, 2):
            by_rename(path, ttl(seconds))
            await anext(versions)
        assert watching()

    run(path, story)
    deadline = monotonic() + 30  # the threads of an ended loop may take a moment to go
    while watching() and monotonic() < deadline:
        sleep(0.01)
    assert not watching()


def watching() -> list[str]:
    """Threads of watches, and what they have open."""
    threads = [thread.name for thread in threading.enumerate() if thread.name.startswith("AnyIO")]
    opened = Path("/proc/self/fd")
    names = [str(one.readlink()) for one in opened.iterdir() if one.is_symlink()] if opened.is_dir() else []
    return threads + [name for name in names if "inotify" in name]


def test_a_watch_that_is_cancelled_ends(tmp_path: Path) -> None:
    path = tmp_path / "sophia.toml"
    path.write_text(ttl(1))

    async def story(versions: Versions) -> None:
        await anext(versions)
        waiting = asyncio.ensure_future(anext(versions))
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    run(path, story)


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    async def story(versions: Versions) -> None:
        with pytest.raises(ConfigError, match="nowhere is no folder"):
            await anext(versions)

    run(tmp_path / "nowhere" / "sophia.toml", story)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sophia.config_watch.find_spec", lambda name: None)

    async def story(versions: Versions) -> None:
        with pytest.raises(ConfigError, match=r"watchfiles; pip install 'sophia-hlb\[brain\]'"):
            await anext(versions)

    run(tmp_path / "sophia.toml", story)

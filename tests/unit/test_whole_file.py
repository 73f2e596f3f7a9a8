"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import BinaryIO

import pytest

from sophia.errors import ConfigError, InputError
from sophia.whole_file import open_whole, write_whole


def own(begin: bytes) -> bool:
    return begin.startswith(b"own")


def put(path: Path | str, data: bytes) -> None:
    write_whole(path, "the file", own, lambda file: file.write(data))


def test_it_is_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a"
    for data in (b"own 1", b"own 2"):
        put(path, data)
        with open_whole(path, "the file") as file:
            assert file.read() == data
    assert [one.name for one in path.parent.iterdir()] == ["a"]


def test_the_mode_is_that_of_others_and_then_stays(tmp_path: Path) -> None:
    path = tmp_path / "a"
    before = os.umask(0o027)
    try:
        put(path, b"own")
        assert path.stat().st_mode & 0o777 == 0o640
        path.chmod(0o604)
        put(path, b"own")
        assert path.stat().st_mode & 0o777 == 0o604
    finally:
        os.umask(before)


def test_a_link_is_followed(tmp_path: Path) -> None:
    put(tmp_path / "a", b"own 1")
    (tmp_path / "link").symlink_to("a")
    put(tmp_path / "link", b"own 2")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "a").read_bytes() == b"own 2"


def test_an_error_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    put(tmp_path / "a", b"own 1")

    def half(file: BinaryIO) -> None:
        file.write(b"own")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "a", "the file", own, half)
    assert (tmp_path / "a").read_bytes() == b"own 1"
    assert len(list(tmp_path.iterdir())) == 1


def test_an_error_of_the_one_who_writes_stays_what_it_is(tmp_path: Path) -> None:
    for error in (ValueError("embedded null byte"), ConfigError("mine")):

        def fail(file: BinaryIO, error: Exception = error) -> None:
            raise error

        with pytest.raises(ValueError, match=r"null|mine") as found:
            write_whole(tmp_path / "a", "the file", own, fail)
        assert found.value is error
    assert not list(tmp_path.iterdir())


def test_what_is_not_ours_is_kept(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("Dear all")
    os.mkfifo(tmp_path / "pipe")
    for name in ("letter", "pipe", "."):
        with pytest.raises(ConfigError, match=r"^the file '[^']*' would replace something else that is there; name"):
            put(tmp_path / name, b"own")
    for device in ("/dev/null", "/dev/full"):
        with pytest.raises(ConfigError):
            put(device, b"own")
    (tmp_path / "empty").touch()
    put(tmp_path / "empty", b"own")


@pytest.mark.parametrize("name", ["a" * 255, "\u6570" * 85, "\U0001f600" * 60])
def test_a_name_may_be_as_long_as_names_are(tmp_path: Path, name: str) -> None:
    put(tmp_path / name, b"own")
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_what_cannot_be_written_or_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("own")
    for bad in (tmp_path / "a" / "b", "a\0b", "/proc/nothing/a"):
        with pytest.raises(ConfigError, match="cannot be written"):
            put(bad, b"own")
        with pytest.raises(InputError, match="cannot be read"):
            open_whole(bad, "the file")
    os.mkfifo(tmp_path / "pipe")
    for bad in (tmp_path / "pipe", tmp_path, "/dev/null"):
        with pytest.raises(InputError, match=r"^the file '[^']*' is no regular file; name one that save\(\) wrote$"):
            open_whole(bad, "the file")


def test_many_writers_leave_one_whole_file(tmp_path: Path) -> None:
    wrong: list[bytes] = []

    def write(number: int) -> None:
        for _ in range(20):
            put(tmp_path / "a", b"own" + bytes([number]) * 100_000)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    put(tmp_path / "a", b"own\0")
    for one in writers:
        one.start()
    while any(one.is_alive() for one in writers):
        with open_whole(tmp_path / "a", "the file") as file:
            data = file.read()
        if len(set(data[3:])) != 1:
            wrong.append(data)
    for one in writers:
        one.join()
    assert not wrong
    assert [one.name for one in tmp_path.iterdir()] == ["a"]

"""The tables of a chronicle as files of Parquet: the same rows, whole files, and nothing else replaced."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import sophia
from sophia.errors import ConfigError
from sophia.store.chronicle import Chronicle, missing
from sophia.store.journal import Journal
from sophia.store.parquet import Exported, export
from sophia.store.reading import Reading

pytestmark = pytest.mark.skipif(bool(missing()), reason="needs duckdb and pyarrow")

ODD = ["plain", "", 'it\'s "quoted"', "nul \0 inside", "\U0001f600", "line\nbreak", "x" * 1_000_000, None]


@pytest.fixture
def chronicle(tmp_path: Path) -> Path:
    """Of a store with decisions in which everything odd is said."""
    store = tmp_path / "mind"
    sophia.open(store).close()
    journal = Journal(store)
    for n, text in enumerate(ODD, 1):
        one = {
            "n": n, "id": text, "ts": "2040-07-01T12:00Z", "scope": text, "route": text, "why": text, "answer": text,
            "novelty": float("nan") if n % 2 else 0.5, "k": [0.25, -1.0] if n % 2 else None, "us": n / 3,
        }  # fmt: skip
        assert journal.append(1, 2225017200.0, [json.dumps(one)])
    journal.close()
    with Chronicle(store) as made:
        made.catch_up()
    return made.file


def exported(file: Path, folder: Path) -> list[Exported]:
    with Reading(file) as reading:
        return list(export(reading, folder))


def test_the_files_have_the_rows_of_the_tables(chronicle: Path, tmp_path: Path) -> None:
    from pyarrow import parquet

    for path, count in exported(chronicle, tmp_path / "a" / "b"):
        table = parquet.read_table(path)
        assert len(table) == count
        with Reading(chronicle) as reading:
            names, rows = reading.ask(f"SELECT * FROM {path.stem} ORDER BY ALL")
            asked = list(rows)
        assert table.column_names == names
        rows_there = [tuple(row[name] for name in names) for row in table.to_pylist()]
        assert sorted(map(repr, rows_there)) == sorted(map(repr, asked))
    table = parquet.read_table(tmp_path / "a" / "b" / "decisions.parquet")
    assert table.column("answer").to_pylist() == ODD
    assert str(table.schema.field("event").type) == "timestamp[us, tz=UTC]"
    assert {event.isoformat() for event in table.column("event").to_pylist()} == {"2040-07-01T12:00:00+00:00"}


def test_the_same_store_gives_the_same_bytes(chronicle: Path, tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        assert [path.stem for path, _ in exported(chronicle, folder)] == ["decisions", "alarms", "patterns", "chapters"]
    for path in folders[0].iterdir():
        assert path.read_bytes() == (folders[1] / path.name).read_bytes()
    before = {path.name: path.read_bytes() for path in folders[0].iterdir()}
    exported(chronicle, folders[0])  # in place of what was there
    assert {path.name: path.read_bytes() for path in folders[0].iterdir()} == before


@pytest.mark.parametrize("name", ["decisions", "chapters"])
def test_what_is_no_parquet_is_not_replaced(chronicle: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / f"{name}.parquet").write_text("notes of mine")
    with pytest.raises(ConfigError, match="would replace something else"):
        exported(chronicle, out)
    assert (out / f"{name}.parquet").read_text() == "notes of mine"
    assert not list(out.glob(".*"))  # nothing of a half-written file


def test_a_place_that_is_no_folder_is_refused(chronicle: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError, match=r"no folder|cannot be written"):
            exported(chronicle, place)


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of its own files")
def test_no_room_leaves_the_files_of_before(chronicle: Path, tmp_path: Path) -> None:
    exported(chronicle, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    code = (
        "import pathlib, resource, signal, sys\n"
        "from sophia.store.reading import Reading\nfrom sophia.store.parquet import export\n"
        "from sophia.errors import ConfigError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "with Reading(pathlib.Path(sys.argv[1])) as reading:\n"
        "    try:\n        list(export(reading, pathlib.Path(sys.argv[2])))\n"
        "    except ConfigError as error:\n        print(error)\n"
    )
    home = {"PYTHONPATH": str(Path(sophia.__file__).resolve().parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code, str(chronicle), str(tmp_path / "out")], env=os.environ | home,
        capture_output=True, text=True,
    )  # fmt: skip
    assert "cannot be written (File too large)" in done.stdout, done
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_nothing_is_replaced_where_one_file_cannot_be(chronicle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported(chronicle, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    (out / "patterns.parquet").write_text("notes of mine")
    (out / "decisions.parquet").write_bytes(b"PAR1 of before")
    with pytest.raises(ConfigError, match="would replace something else"):
        exported(chronicle, out)
    assert (out / "decisions.parquet").read_bytes() == b"PAR1 of before"
    (out / "patterns.parquet").unlink()
    (out / "patterns.parquet").symlink_to("decisions.parquet")
    with pytest.raises(ConfigError, match="are the same file"):
        exported(chronicle, out)
    (out / "patterns.parquet").unlink()
    exported(chronicle, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize("name", ["x" * 300, "nul\0", "loop/loop"])
def test_a_folder_that_cannot_be_is_refused(chronicle: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ConfigError):
        exported(chronicle, tmp_path / name)

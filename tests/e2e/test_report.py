"""The report page as a run leaves it: where it is, when there is none, and what it never touches."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from page import Page

import sophia
from sophia.stream.demo import demo_path

from .conftest import Run

HOME = str(Path(sophia.__file__).resolve().parents[1])
LOG = "job 1 is done\njob 2 is done\n<b>job</b> failed: authentication failure\njob 3 is done\n"


def page(path: Path) -> Page:
    read = Page(path.read_text(encoding="utf-8"))
    read.check()
    return read


def without(name: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[bytes]:
    """The command line where the package `name` is not installed."""
    code = f"import sys; sys.modules[{name!r}] = None; from sophia.cli.main import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": HOME},
        timeout=120,
    )


def test_the_demo_leaves_its_page_and_nothing_anywhere_else(whole_command: Run, tmp_path: Path) -> None:
    for name in ("home", "tmp", "work"):
        (tmp_path / name).mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "sophia", "demo"],
        capture_output=True,
        cwd=tmp_path / "work",
        env={
            "HOME": str(tmp_path / "home"),
            "TMPDIR": str(tmp_path / "tmp"),
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": HOME,
        },
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()
    (folder,) = (tmp_path / "work" / "sophia-out").iterdir()
    assert (folder / "report.html").as_posix().removeprefix(f"{tmp_path}/work/").encode() in done.stderr
    assert "What was dangerous? 46" in page(folder / "report.html").text
    names = {path.name for path in folder.iterdir()}
    assert {"decisions.jsonl", "patterns.jsonl", "report.html", "summary.json"} <= names
    assert not {name for name in names if name.startswith(".") or name.endswith(".part")}
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["sophia-out"]
    assert not [*(tmp_path / "home").iterdir(), *(tmp_path / "tmp").iterdir()]


def test_where_the_page_is(whole_command: Run, tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text(LOG)
    assert whole_command("run", "app.log", "--no-store", "--out", "here/d.jsonl").returncode == 0
    assert "4 inputs" in page(tmp_path / "here" / "report.html").text
    named = whole_command("run", "app.log", "--no-store", "--out", "x.jsonl", "--report", "there/page.html")
    assert named.returncode == 0
    assert "4 inputs" in page(tmp_path / "there" / "page.html").text
    assert not (tmp_path / "report.html").exists()
    done = whole_command("run", "app.log", "--no-store", "--out", "-", "--quiet")
    assert done.stderr == b""
    assert done.stdout.count(b"\n") == 4
    (folder,) = (tmp_path / "sophia-out").iterdir()
    assert "<b>job</b> failed" in page(folder / "report.html").text


@pytest.mark.parametrize(
    ("out", "told"),
    [([], "decisions.jsonl"), (["--out", "there/d.jsonl"], "d.jsonl"), (["--out", "-"], "the output of the run")],
)
def test_the_page_names_the_file_that_has_the_decisions(
    whole_command: Run, tmp_path: Path, out: list[str], told: str
) -> None:
    (tmp_path / "in.log").write_text(LOG)
    assert whole_command("run", "in.log", "--no-store", "--report", "page.html", *out).returncode == 0
    text = page(tmp_path / "page.html").text
    assert f"Beside this page: {told} has each decision" in text
    assert ("decisions.jsonl" in text) == (told == "decisions.jsonl")


def test_standard_input_has_a_page(whole_command: Run, tmp_path: Path) -> None:
    assert whole_command("run", "-", "--no-store", "--out", "d.jsonl", stdin=LOG.encode()).returncode == 0
    assert "What Sophia saw in standard input" in page(tmp_path / "report.html").text


def test_the_second_run_on_a_store_knows_what_is_new(whole_command: Run, tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text(LOG)
    (tmp_path / "next.log").write_text(LOG + "something else has come\n")
    whole_command("run", "app.log", "--store", "mind", "--report", "none")
    whole_command("run", "next.log", "--store", "mind", "--out", "d.jsonl")
    text = page(tmp_path / "report.html").text
    assert "What was new? 1 new pattern, of 3 with those known before: " in text
    assert text.count("2 patterns were known before this run, from the store mind. ") == 1
    assert text.index("known before this run, from") < text.index("What was new?")
    assert "lines are those of its input; patterns.jsonl has all patterns of the store" in text
    whole_command("run", "app.log", "--store", "other", "--out", "d.jsonl")
    assert "known before this run" not in page(tmp_path / "report.html").text
    assert "Patterns 3 in all, of them 1 new in this run" in text


def test_a_run_that_stops_and_a_sample_say_so(whole_command: Run, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "fine"}\nnot json\n{"text": "fine"}\n')
    assert whole_command("run", "in.jsonl", "--no-store", "--out", "d.jsonl", "--strict").returncode == 3
    assert "The run stopped at the first bad input" in page(tmp_path / "report.html").text
    assert whole_command("demo", "--out", "d.jsonl", "--sample", "0.5").returncode == 0
    assert re.search(r"Decided \d+ of the inputs", page(tmp_path / "report.html").text)


def test_money(whole_command: Run, tmp_path: Path) -> None:
    done = whole_command("demo", "--out", "d.jsonl", "--cost-per-call", "0.5")
    assert done.returncode == 0, done.stderr.decode()
    assert "186.50 saved at 0.5 a call" in page(tmp_path / "report.html").text


def test_no_page_when_none_is_wanted_and_nothing_is_loaded_for_it(tmp_path: Path) -> None:
    code = (
        "import sys; from sophia.cli.main import main; code = main(sys.argv[1:]); "
        "print(code, sorted({'jinja2', 'matplotlib', 'numpy', 'sophia.stream.collect', 'sophia.stream.report'} "
        "& set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "demo", "--report", "none", "--quiet"],
        capture_output=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": HOME},
        timeout=60,
    )
    assert done.stdout.decode().strip() == "0 []", done.stderr.decode()
    (folder,) = (tmp_path / "sophia-out").iterdir()
    assert not (folder / "report.html").exists()


@pytest.mark.parametrize("name", ["jinja2", "matplotlib"])
def test_without_the_extra_a_run_works_and_says_what_brings_the_page(tmp_path: Path, name: str) -> None:
    (tmp_path / "app.log").write_text(LOG)
    done = without(name, "run", "app.log", "--no-store", "--out", "d.jsonl", folder=tmp_path)
    assert done.returncode == 0
    told = [line for line in done.stderr.decode().splitlines() if "report" in line]
    assert len(told) == 1
    assert name in told[0]
    assert "pip install jinja2 matplotlib" in told[0]
    assert (tmp_path / "d.jsonl").read_bytes().count(b"\n") == 4
    assert not (tmp_path / "report.html").exists()
    quiet = without(name, "run", "app.log", "--no-store", "--out", "d.jsonl", "--quiet", folder=tmp_path)
    assert (quiet.returncode, quiet.stderr) == (0, b"")
    asked = without(name, "run", "app.log", "--no-store", "--out", "other.jsonl", "--report", "p.html", folder=tmp_path)
    assert asked.returncode == 2
    assert b"pip install jinja2 matplotlib" in asked.stderr
    assert not (tmp_path / "other.jsonl").exists()
    assert not (tmp_path / "p.html").exists()


def test_a_broken_package_costs_the_page_and_not_the_run(whole_command: Run, tmp_path: Path) -> None:
    (tmp_path / "lib" / "matplotlib").mkdir(parents=True)
    (tmp_path / "lib" / "matplotlib" / "__init__.py").write_text("raise ImportError('half installed')\n")
    (tmp_path / "app.log").write_text(LOG)
    path = f"{tmp_path / 'lib'}{os.pathsep}{HOME}"
    done = whole_command("run", "app.log", "--no-store", "--out", "d.jsonl", PYTHONPATH=path)
    assert done.returncode == 0
    assert b"half installed" in done.stderr
    assert b"Traceback" not in done.stderr
    assert (tmp_path / "summary.json").exists()
    asked = whole_command("run", "app.log", "--no-store", "--out", "d.jsonl", "--report", "p.html", PYTHONPATH=path)
    assert asked.returncode == 5
    assert b"half installed" in asked.stderr
    assert not [left.name for left in tmp_path.iterdir() if left.name.startswith((".plots", "p.html"))]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("page.txt", b"ends in .html"),
        ("decisions.jsonl", b"ends in .html"),
        ("-", b"ends in .html"),
        ("in.html", b"is an input"),
        ("./folder/../in.html", b"is an input"),
        ("mind/report.html", b"lies in the store"),
        ("folder.html", b"is a folder"),
        ("in.html/page.html", b"not a folder that can be written"),
    ],
)
def test_a_name_that_cannot_be_the_page_is_refused_before_anything_is_written(
    whole_command: Run, tmp_path: Path, name: str, words: bytes
) -> None:
    (tmp_path / "in.html").write_text(LOG)
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "folder").mkdir()
    before = {path.name for path in tmp_path.iterdir()}
    done = whole_command("run", "in.html", "--store", "mind", "--report", name)
    assert done.returncode == 2
    assert b"--report" in done.stderr
    assert words in done.stderr
    assert done.stderr.count(b"\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == before
    assert (tmp_path / "in.html").read_text() == LOG


def test_the_page_of_before_stays_until_the_new_one_is_whole(whole_command: Run, tmp_path: Path) -> None:
    whole_command("demo", "--out", "d.jsonl", "--limit", "100")
    before = (tmp_path / "report.html").read_text()
    whole_command("run", demo_path(), "--no-store", "--out", "d.jsonl")
    after = page(tmp_path / "report.html")
    assert "100 inputs" in before
    assert "1,999 inputs" in after.text

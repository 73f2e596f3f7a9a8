"""`sophia remember`, `recall` and `forget`, as a shell sees them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import sophia
from sophia.organs.hippocampus import Hippocampus

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def shell(whole_command: Callable[..., subprocess.CompletedProcess[bytes]]) -> Run:
    """The command, with text in and out."""

    def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        result = whole_command(*arguments, stdin=stdin.encode())
        out, err = result.stdout.decode(), result.stderr.decode()
        return subprocess.CompletedProcess(result.args, result.returncode, out, err)

    return run


def done(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    return result.stdout


def test_a_text_is_remembered_found_and_forgotten(shell: Run) -> None:
    assert done(shell("remember", "Ann likes green tea", "the office moved to Jena", "--scope", "ann")) == "1\n2\n"
    assert done(shell("remember", "x = 'O\"Brien'", "--tag", "quoted", "--ts", "2026-03-01T10:00:00")) == "3\n"
    line = done(shell("recall", "who likes green tea", "-k", "1")).split()
    assert line[0] == "1"
    assert " ".join(line[-4:]) == "Ann likes green tea"
    found = [
        json.loads(line) for line in done(shell("recall", "what of O'Brien", "--tag", "quoted", "--json")).splitlines()
    ]
    assert [(m["id"], m["text"], m["ts"]) for m in found] == [(3, "x = 'O\"Brien'", "2026-03-01T10:00:00Z")]
    assert done(shell("recall", "tea, O'Brien", "--until", "2026-04-01", "--json")).count("\n") == 1
    forgotten = json.loads(done(shell("forget", "--scope", "ann", "--json")))
    assert (forgotten["memories"], forgotten["answers"]) == (2, 0)
    assert done(shell("recall", "tea", "--scope", "ann")) == ""
    assert "forgotten: 1 memories" in done(shell("forget", "--id", "3", "--id", "4"))


def test_inputs_of_files(shell: Run, tmp_path: Path) -> None:
    rows = [
        {"text": "first", "scope": "a", "context": "c", "ts": "2026-03-01T10:00:00Z", "answer": "one"},
        {"text": "second", "ts": "at noon"},
        {"text": 7},
        {"text": ""},
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + "not json\n")
    result = shell("remember", "--file", "in.jsonl", "--scope", "b", "--kind", "log", "--json")
    assert json.loads(done(result)) == {
        "remembered": 2,
        "ids": [1, 2],
        "bad": {"empty": 1, "not-a-string": 1, "not-json": 1, "time-not-read": 1},
    }
    with Hippocampus.open(tmp_path / ".sophia") as memory:
        first, second = memory.get(1), memory.get(2)
    assert (first.scope, first.context, first.answer, first.ts.isoformat()) == (
        "a", "c", "one", "2026-03-01T10:00:00+00:00",
    )  # fmt: skip
    assert (second.scope, second.kind) == ("b", "log")
    result = shell("remember", "--file", "-", stdin="a line\nanother\n")
    assert done(result) == ""
    assert "remembered 2 as 3 to 4 in .sophia" in result.stderr


def test_forget_takes_the_answers_of_the_scope_too(shell: Run, tmp_path: Path) -> None:
    with sophia.open(tmp_path / ".sophia") as brain:
        for scope in ("ann", "bob"):
            brain.complete(brain.route("When do you open?", scope=scope), answer=f"At nine, {scope}-secret.")
    result = shell("forget", "--scope", "ann")
    assert done(result) == "forgotten: 0 memories, 1 answers\n"  # of a text that bob had as well
    assert "what may be left" in result.stderr
    for file in (tmp_path / ".sophia").iterdir():
        assert b"ann-secret" not in file.read_bytes()
    with sophia.open(tmp_path / ".sophia") as brain:
        assert brain.route("When do you open?", scope="ann").answer is None
        assert brain.route("When do you open?", scope="bob").answer == "At nine, bob-secret."


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("remember",), 2, "--exported, and not both"),
        (("remember", "x", "--file", "y"), 2, "not both"),
        (("remember", "x", "y", "--answer", "z"), 2, "single TEXT"),
        (("remember", ""), 2, "empty"),
        (("remember", "--file", "no.jsonl"), 3, "no.jsonl"),
        (("remember", "x", "--ts", "noon"), 2, "no time"),
        (("recall", "x"), 3, "no store .sophia"),
        (("recall", "x", "-k", "0"), 2, "at least 1"),
        (("forget",), 2, "what to forget"),
        (("forget", "--id", "1", "--scope", "x"), 2, "leave --scope"),
        (("forget", "--scope", "x"), 3, "no store .sophia"),
    ],
)
def test_what_cannot_be_done_is_told(
    shell: Run, tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    result = shell(*arguments)
    assert (result.returncode, result.stdout) == (code, "")
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / ".sophia" / "sophia.db").exists() or arguments == ("remember", "")


def test_a_store_in_use(shell: Run, tmp_path: Path) -> None:
    with sophia.open(tmp_path / ".sophia"):
        result = shell("remember", "x")
        assert done(shell("recall", "x")) == ""  # which reads only
    assert result.returncode == 4
    assert "open for writing elsewhere" in result.stderr


def test_what_a_store_holds_names_its_memories(shell: Run) -> None:
    done(shell("remember", "one", "two", "--scope", "ann"))
    done(shell("remember", "three"))
    facts = json.loads(done(shell("store", "info", "--json")))
    assert facts["memories"] == {
        "count": 3,
        "scopes": [{"scope": "ann", "memories": 2}, {"scope": "", "memories": 1}],
        "more_scopes": False,
    }
    assert "memories   3" in done(shell("store", "info"))
    assert done(shell("store", "check"))


def test_a_line_is_one_line_and_no_command_to_the_terminal(shell: Run, tmp_path: Path) -> None:
    with Hippocampus.open(tmp_path / ".sophia") as memory:
        memory.remember("tea \x1b[31mred\x07\nsecond line", actor="eve\n       9   1.00  faked", scope="a\x1b]0;t\x07")
    lines = done(shell("recall", "tea")).splitlines()
    assert len(lines) == 1
    assert lines[0].isprintable()
    assert "tea \\x1b[31mred\\x07 second line" in lines[0]


def test_consolidate_lets_go_what_is_asked_for_and_no_more(command: Run, tmp_path: Path) -> None:
    lines = tmp_path / "notes.txt"
    lines.write_text("".join(f"note number {number} about tea\n" for number in range(1100)) + "tea\n" * 5)
    assert command("remember", "--file", "notes.txt", "--store", "mind").returncode == 0
    done = json.loads(command("store", "consolidate", "--store", "mind", "--json").stdout)
    assert done == {"let_go": 0, "merged": 0, "made": 0, "memories": 1105, "archived": 1105, "rebuilt": 0, "damaged": 0}
    assert (tmp_path / "mind" / "lance").is_dir()
    assert len(list((tmp_path / "mind" / "segments").iterdir())) == 2
    told = command("store", "consolidate", "--store", "mind", "--merge", ".0001", "--most", "1103")
    assert told.stdout.decode() == (
        "mind: 1,099 memories, of which the long-term index has 1,099; 2 were let go, 5 became 1\n"
    )
    assert json.loads(command("store", "consolidate", "--store", "mind", "--older-than", "1h", "--json").stdout)[
        "memories"
    ] == 1099  # fmt: skip
    for bad in (["--most", "0"], ["--merge", "2"], ["--older-than", "soon"], ["--weaker-than", "x"]):
        assert command("store", "consolidate", "--store", "mind", *bad).returncode == 2
    assert command("store", "consolidate", "--store", "nowhere").returncode == 3


def test_memories_by_their_words_and_the_latest(shell: Run) -> None:
    texts = ["invoice 4711 was paid", "invoice 4712 was not", "who paid Invoice 4711?"]
    done(shell("remember", *texts, "--scope", "ann"))
    done(shell("remember", "When do you open?", "--answer", "At nine.", "--tag", "hours"))
    assert [line.split()[0] for line in done(shell("recall", "4711 invoice", "--words")).splitlines()] == ["3", "1"]
    assert done(shell("recall", "4711 open", "--words")) == ""
    latest = done(shell("recall", "-k", "2")).splitlines()
    assert [line.split()[0] for line in latest] == ["4", "3"]
    assert latest[0].endswith("tags=hours  When do you open?  -> At nine.")
    refused = shell("recall", "--words")
    assert (refused.returncode, "needs a TEXT" in refused.stderr) == (2, True)
    refused = shell("recall", "?!", "--words")
    assert (refused.returncode, "give 1 to 64" in refused.stderr) == (2, True)


def test_what_consolidation_would_do(shell: Run) -> None:
    done(shell("remember", "tea for two", "tea for two", "coffee", "--ts", "2020-01-01"))
    done(shell("remember", "water"))
    said = json.loads(done(shell("store", "consolidate", "--older-than", "90d", "--dry-run", "--json")))
    assert said == {"let_go": 3, "merged": 0, "made": 0}
    said = json.loads(done(shell("store", "consolidate", "--merge", "0.01", "--dry-run", "--json")))
    assert said == {"let_go": 0, "merged": 2, "made": 1}
    assert len(done(shell("recall")).splitlines()) == 4
    assert shell("store", "consolidate", "--dry-run").returncode == 2
    refused = shell("store", "consolidate", "--disk", "1K")
    assert (refused.returncode, "less than a store" in refused.stderr) == (2, True)
    assert len(done(shell("recall")).splitlines()) == 4
    said = json.loads(done(shell("store", "consolidate", "--merge", "0.01", "--json")))
    assert (said["merged"], said["memories"]) == (2, 3)


def test_exported_memories_come_in_again(shell: Run, tmp_path: Path) -> None:
    done(
        shell(
            "remember", "tea ✓", "--scope", "ann", "--tag", "b", "--tag", "a", "--ts", "2026-03-01", "--answer", "yes"
        )
    )
    done(shell("remember", "coffee"))
    with Hippocampus.open(tmp_path / ".sophia") as memory:
        memory.remember(memory.get(1).vector, actor="Ann")
    assert done(shell("store", "export", "--what", "memories", "--out", "m.jsonl")) == ""
    rows = [json.loads(line) for line in (tmp_path / "m.jsonl").read_text().splitlines()]
    assert [(row["id"], row["text"], row["scope"], row["tags"], row["answer"]) for row in rows] == [
        (1, "tea ✓", "ann", ["a", "b"], "yes"), (2, "coffee", "", [], None), (3, None, "", [], None),
    ]  # fmt: skip
    assert rows[0]["ts"] == "2026-03-01T00:00:00Z"
    assert (rows[2]["actor"], rows[2]["dim"], len(rows[2]["vector"])) == ("Ann", 10_000, 1668)
    assert done(shell("store", "export", "--what", "memories", "--scope", "ann")).count("\n") == 1
    assert done(shell("store", "export")) == ""  # answers and patterns, of which there are none
    result = shell("remember", "--file", "m.jsonl", "--store", "other", "--json")
    assert json.loads(done(result)) == {"remembered": 2, "ids": [1, 2], "bad": {"not-a-string": 1}}
    assert "m.jsonl:3: not-a-string" in result.stderr
    done(shell("remember", "--exported", "m.jsonl", "--store", "whole"))
    told = []
    for store in (".sophia", "whole"):
        with Hippocampus.open(tmp_path / store) as memory:
            told.append(
                [(m.text, m.scope, m.actor, m.tags, m.answer, bytes(m.vector)) for m in map(memory.get, (1, 2, 3))]
            )
    assert told[0] == told[1]
    (tmp_path / "bad.jsonl").write_text('{"text": "x"}\nnot json\n')
    result = shell("remember", "--exported", "bad.jsonl", "--store", "other")
    assert (result.returncode, result.stderr.count("not-exported")) == (0, 3)
    assert shell("remember", "--exported", "none.jsonl").returncode == 3


def test_who_said_it_is_kept(shell: Run, tmp_path: Path) -> None:
    rows = [{"body": "I ran a race", "who": "s1", "speaker": "Melanie"}, {"body": "I like tea", "speaker": "Caroline"}]
    (tmp_path / "talk.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done(shell("remember", "--file", "talk.jsonl", "--text-key", "body", "--context-key", "who", "--actor", "nobody"))
    (tmp_path / "talk.csv").write_text("text,author\n'hello there',Bob\n")
    done(shell("remember", "--file", "talk.csv"))
    with Hippocampus.open(tmp_path / ".sophia") as memory:
        assert [memory.get(id).actor for id in (1, 2, 3)] == ["Melanie", "Caroline", "Bob"]
        assert memory.get(1).context == "s1"
    assert done(shell("recall", "race", "--actor", "Melanie")).count("\n") == 1


def test_words_need_no_quotes_to_be_recalled(shell: Run) -> None:
    done(shell("remember", "the charity race"))
    assert done(shell("recall", "charity", "race")).count("\n") == 1
    refused = shell("recall", "")
    assert (refused.returncode, "leave it out" in refused.stderr) == (2, True)


def test_a_scope_that_nobody_knows(shell: Run) -> None:
    done(shell("remember", "tea", "--scope", "boris"))
    result = shell("forget", "--scope", "Boris")
    assert "forgotten: 0 memories" in done(result)
    assert "nothing was known of the scope 'Boris'; there are 'boris'" in result.stderr
    assert "1 memories" in done(shell("forget", "--id", "m1"))


def test_a_time_without_a_unit_is_refused(shell: Run) -> None:
    done(shell("remember", "tea"))
    for arguments in (("store", "consolidate", "--older-than", "90"), ("run", "x", "--retention", "7")):
        refused = shell(*arguments)
        assert (refused.returncode, "names no unit" in refused.stderr) == (2, True)


def test_a_run_tells_what_it_remembers(shell: Run, tmp_path: Path) -> None:
    rows = [{"text": "When do you open?", "answer": "At nine."}] * 3 + [{"text": "A new one"}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = shell("run", "in.jsonl", "--remember", "--out", "out.jsonl", "--report", "none")
    assert "memories: 2 made" in result.stderr  # and none of a repeat
    assert json.loads((tmp_path / "summary.json").read_text())["memories"] == {"made": 2, "let_go": 0}
    assert "2 memories" in done(shell("store", "backup", "copy"))

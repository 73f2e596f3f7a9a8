"""The report page: what stands in it, and that nothing from outside acts in it."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from page import Page

import sophia
from sophia._core.decision import WHYS
from sophia.stream.collect import Collector, Example
from sophia.stream.demo import demo_path
from sophia.stream.event import REASONS as INVALID
from sophia.stream.explain import FAULTS, REASONS, ROUTE_WORDS, explain
from sophia.stream.readers import read_batches
from sophia.stream.report import missing, write_report
from sophia.stream.run import run

HOSTILE = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)> '><svg onload=alert(1)>",
    "</style></title></table><iframe src=//evil.example></iframe>",
    "{{ 7 * 191 }} {% for x in y %} ${7*191}",
    "javascript:alert(1) data:text/html;base64,PHNjcmlwdD4=",
    "\x1b[31mred\x1b[0m \x1b]8;;http://evil.example\x07link\x07 \x00\x08\x7f\x9b",
    "user \u202egnp.exe\u202c \u2066hidden\u2069 \u200bzero\u200d\ufeff",
    "e" + "\u0301" * 300,
    "&lt;b&gt; &amp; &#x3c;script&#x3e; --> <!-- ]]> <![CDATA[",
    "\ud800 alone \udfff",
]


def report(
    path: Path,
    *sources: Path,
    settings: sophia.Settings | None = None,
    rules: list[Path] | None = None,
    cost: float = 0,
) -> Page:
    with sophia.open(None, settings=settings or sophia.Settings(), rules=rules or []) as brain:
        collector = Collector()
        reader = read_batches(sources)
        summary = run(reader, brain, io.BytesIO(), io.BytesIO(), collector=collector)
    write_report(path, collector, summary, reader.counts, brain, cost_per_call=cost)
    page = Page(path.read_text(encoding="utf-8"))
    page.check()
    return page


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return report(tmp_path_factory.mktemp("demo") / "report.html", demo_path(), cost=0.002)


def test_the_first_screen_answers_four_questions(demo: Page) -> None:
    cards = re.search(r"(What was new\?.*)Where the inputs went", demo.text)
    assert cards
    assert re.search(r"What was new\? \d+ new patterns 268 inputs \(13\.4 %\)", cards[1])
    assert re.search(r"What was dangerous\? 46 inputs hit a danger rule 9 refused \(veto\), 37 reported", cards[1])
    assert re.search(r"What repeated\? 83\.7 % of a known kind 380 inputs were exact repeats", cards[1])
    assert re.search(r"What did it save\? 380 inputs handled at once", cards[1])
    assert "0.76 saved at 0.002 a call" in cards[1]
    assert demo.source.index("What did it save?") < demo.source.index("Why was this line routed so?")


def test_there_is_a_table_under_each_plot(demo: Page) -> None:
    names = [svg["aria-label"] for svg in demo.all("svg")]
    assert len(names) == len(set(names)) == 5
    for part in demo.source.split("<svg ")[1:]:
        assert "<table>" in part.split("<figure>")[0]


def test_the_plots_take_the_colours_and_the_font_of_the_page(demo: Page) -> None:
    for svg in re.findall(r"<svg .*?</svg>", demo.source, re.S):
        assert not re.search(r"#[0-9a-f]{6}|font-family|DejaVu|<style|xmlns", svg)
        assert "var(--" in svg
    for scheme in (
        r"^:root \{(.*?)\}",
        r"prefers-color-scheme: dark\) \{\s*:root \{(.*?)\}",
        r"print \{\s*:root \{(.*?)\}",
    ):
        colours = re.search(scheme, demo.source, re.S | re.M)
        assert colours
        for used in set(re.findall(r"var\((--[\w-]+)\)", demo.source)) - {"--accent"}:
            assert f"{used}:" in colours[1], (scheme, used)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [r"^:root \{(.*?)\}", r"prefers-color-scheme: dark\) \{\s*:root \{(.*?)\}"])
def test_contrast(demo: Page, scheme: str) -> None:
    """WCAG AA: 4.5 for words, 3 for marks and curves."""
    found = re.search(scheme, demo.source, re.S | re.M)
    assert found
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", found[1]))

    def contrast(one: str, other: str) -> float:
        high, low = sorted([luminance(colours[one]), luminance(colours[other])], reverse=True)
        return (high + 0.05) / (low + 0.05)

    for ground in ("page", "card"):
        assert all(contrast(word, ground) >= 4.5 for word in ("ink", "dim", "link", "danger"))
        assert all(contrast(mark, ground) >= 3 for mark in ("reflex", "cortical", "deep-thought", "novel"))
    assert contrast("mark-ink", "mark") >= 4.5
    assert contrast("dim", "soft") >= 4.5


def test_hostile_text_is_shown_and_does_nothing(tmp_path: Path) -> None:
    """In each place where something from outside can come to the page."""
    source = tmp_path / "<img src=x onerror=alert(1)>.jsonl"
    with source.open("w") as file:
        for number, text in enumerate(HOSTILE * 3):
            more = {"user": HOSTILE[number % 7], "answer": text, "id": text, "ts": text, "session": text}
            for _ in range(2):
                file.write(json.dumps({"text": f"{text} rm -rf / {text}" if number % 3 == 0 else text} | more) + "\n")
        file.write("<script>not json\n")
    rules = tmp_path / "rules.toml"
    rules.write_text(
        '[[rule]]\nid = "acme.script"\ndescription = "<script>alert(2)</script> {{ 7 * 191 }}"\n'
        "pattern = 'script'\nseverity = \"critical\"\n"
    )
    page = report(tmp_path / "report.html", source, rules=[rules])
    assert "<script>alert(1)</script>" in page.text
    assert "<script>alert(2)</script>" in page.text
    assert "{{ 7 * 191 }}" in page.text
    assert "1337" not in page.text
    assert "\u2039U+202E\u203a" in page.text
    assert "\u2039U+001B\u203a" in page.text
    assert "\u0301" * 4 not in page.text


def test_hostile_lines_of_a_log(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_bytes(
        b"\n".join(text.encode("utf-8", "replace").replace(b"\0", b"\1") for text in HOSTILE * 4)
    )
    page = report(tmp_path / "report.html", tmp_path / "app.log")
    assert "<iframe src=//evil.example>" in page.text


def test_secrets_are_not_in_the_page(tmp_path: Path) -> None:
    secrets = {
        "password=hunter2zz": "hunter2zz",
        "mail to anna.bell@mail.example.org": "anna.bell",
        "sk-abcdefghijklmnop1234": "abcdefghijklmnop",
        "card 4111 1111 1111 1111": "4111 1111",
    }
    lines = [json.dumps({"text": f"please rm -rf / and use {text} today", "user": text}) for text in secrets]
    lines += [json.dumps({"text": f"my case is {text}", "user": text, "answer": text}) for text in secrets] * 3
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    page = report(tmp_path / "report.html", tmp_path / "in.jsonl")
    for secret in secrets.values():
        assert secret not in page.source
    assert "rm -rf /" in page.text


def test_a_page_of_the_worst_kind_is_bounded(tmp_path: Path) -> None:
    """Hundreds of patterns, hundreds of rules that hit, long texts full of what must be escaped."""
    rules = tmp_path / "rules.toml"
    rules.write_text(
        "".join(
            f'[[rule]]\nid = "acme.rule-{i}"\ndescription = "{"<&>" * 60}"\npattern = \'wordnumber{i}x\'\n'
            'severity = "high"\n'
            for i in range(150)
        )
    )
    with (tmp_path / "in.jsonl").open("w") as file:
        for i in range(450):
            text = f"wordnumber{i % 150}x {'<&>' * (i % 97)} \"'&<\u202e" + "\x01" * 100 + "'\"<" * 200
            file.write(json.dumps({"text": text, "user": "'\"<" * 50, "answer": "x"}) + "\n")
    report(tmp_path / "report.html", tmp_path / "in.jsonl", rules=[rules])


@pytest.mark.parametrize("lines", [0, 1, 2, 9])
def test_short_streams(tmp_path: Path, lines: int) -> None:
    (tmp_path / "in.log").write_text("".join(f"line {i} of few\n" for i in range(lines)))
    page = report(tmp_path / "report.html", tmp_path / "in.log")
    assert len(page.all("svg")) == (4 if lines else 0)
    assert ("There was nothing to decide" in page.text) == (lines == 0)


def test_bad_lines_stand_with_their_places(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "fine"}\nnot json\n{"text": ""}\n{"text": 5}\n')
    (tmp_path / "b.jsonl").write_text('{"text": "fine too"}\n' + "{\n" * 40)
    page = report(tmp_path / "report.html", tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    section = page.text.split("Lines with something wrong")[-1]
    assert "43 lines could not be taken" in section
    assert re.search(r"not JSON 41 a\.jsonl:2, b\.jsonl:2, .* and 29 more", section)
    assert "empty 1 a.jsonl:3" in section
    assert "not a string 1 a.jsonl:4" in section


def test_the_audit_stands_in_the_page(tmp_path: Path) -> None:
    """Answers that change from one time to the next: the rate with its interval, and that answers are off."""
    (tmp_path / "in.jsonl").write_text(
        "".join(json.dumps({"text": "Who is on call?", "answer": f"person {i}"}) + "\n" for i in range(9))
    )
    page = report(
        tmp_path / "report.html", tmp_path / "in.jsonl", settings=sophia.Settings(audit=1.0, audit_budget=0.1)
    )
    found = re.search(r"(\d) served answers? w\w+ drawn for an audit.* false-serve rate of 100\.00%", page.text)
    assert found
    assert "Answers from memory are switched off" in page.text
    assert re.search(r"There is a stored answer .* but answers are switched off", page.text)
    assert "drawn for an audit" not in report(tmp_path / "plain.html", tmp_path / "in.jsonl").text


def test_the_same_input_gives_the_same_page(tmp_path: Path) -> None:
    """But for what was measured: times and speeds."""
    pages = []
    for name in ("one.html", "other.html"):
        text = report(tmp_path / name, demo_path()).source
        text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC|\d+\.\d\d s", "", text)
        pages.append(re.sub(r'<section id="speed".*?</section>', "", text, flags=re.S))
    assert pages[0] == pages[1]


def example(**values: object) -> Example:
    one = Example.__new__(Example)
    usual = {
        "n": 1, "source": "app.log", "line": 1, "text": "a b", "span": None, "plain": True, "scope": "",
        "why": "novel", "via": "", "danger_score": 0.0,
        "route": "deep_thought", "verdict": "allow", "confidence": 0.0, "complexity": 0.0, "pattern": 1, "rule": None,
        "match": None, "invalid": None, "withheld": False, "novelty": 1.0, "model": None, "intent": None,
        "runner_up": None, "session": None, "session_novel": None,
    }  # fmt: skip
    for name, value in (usual | values).items():
        setattr(one, name, value)
    return one


def test_every_reason_has_words() -> None:
    assert set(REASONS) == set(WHYS)
    assert set(FAULTS) >= set(INVALID)
    for why in WHYS:
        for route, words in ROUTE_WORDS.items():
            said = explain(example(why=why, route=route, confidence=0.6), sophia.Settings(), {})
            assert len(said) > 30
            if why in ("known-pattern", "complex"):
                continue
            assert words.title.lower() in said or route != ("reflex" if why == "repeat" else "deep_thought")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"why": "repeat", "route": "reflex", "match": "1.7", "scope": "ana"},
            ["scope \u201cana\u201d", "decision 1.7"],
        ),
        ({"why": "novel", "scope": ""}, ["the default scope"]),
        ({"why": "known-pattern", "route": "reflex", "confidence": 0.75}, ["at least 3 times", "0.75", "reflex"]),
        (
            {"why": "known-pattern", "route": "cortical", "confidence": 0.5},
            ["seen once", "0.50", "not yet", "cortical"],
        ),
        ({"why": "known-pattern", "route": "cortical", "confidence": 2 / 3}, ["at least twice", "0.67"]),
        (
            {"why": "known-pattern", "route": "cortical", "confidence": 0.9, "plain": False},
            ["at least 9 times", "no stored answer", "cortical"],
        ),
        (
            {"why": "known-pattern", "route": "cortical", "confidence": 0.9, "withheld": True},
            ["stored answer", "switched off", "cortical"],
        ),
        ({"why": "low-confidence", "confidence": 0.4}, ["0.40", "0.50 is needed"]),
        (
            {"why": "low-confidence", "confidence": 0.4, "model": "m", "runner_up": "light"},
            ["Nearest is intent \u201clight\u201d (confidence 0.40)", "does not guess"],
        ),
        ({"why": "out-of-scope", "model": "m"}, ["no word or sign"]),
        (
            {"why": "route", "route": "cortical", "confidence": 0.9, "model": "m", "intent": "light"},
            ["intent \u201clight\u201d (confidence 0.90)", "normal handling: cortical"],
        ),
        (
            {"why": "route", "route": "reflex", "confidence": 0.9, "model": "m", "intent": "light", "scope": "ana"},
            ["may be handled at once", "familiar in scope \u201cana\u201d", "reflex"],
        ),
        (
            {"why": "known-pattern", "route": "reflex", "confidence": 0.99, "novelty": 0.25, "model": "m"},
            ["at least 3 times", "0.75"],
        ),
        (
            {"why": "complex", "confidence": 0.9, "complexity": 0.8, "model": "m", "intent": "light"},
            ["intent \u201clight\u201d", "0.80"],
        ),
        ({"why": "danger", "rule": "a.b", "verdict": "veto"}, ["rule a.b", "(asks for tea)", "veto", "refuse"]),
        (
            {"why": "danger", "rule": "a.b", "via": "base64", "verdict": "veto"},
            ["Behind a detour (base64)", "rule a.b"],
        ),
        ({"why": "danger", "danger_score": 0.9, "plain": False}, ["danger score 0.90", "allowed", "deep thought"]),
        ({"why": "danger", "rule": "a.b", "verdict": "flag"}, ["flag", "a log line tells of it"]),
        ({"why": "complex", "route": "deep_thought", "complexity": 0.8, "confidence": 0.9}, ["0.80", "0.75"]),
        ({"why": "too-long"}, ["20,000"]),
        ({"why": "invalid", "invalid": "not-json"}, ["not JSON"]),
    ],
)
def test_a_reason_names_its_evidence(values: dict[str, object], words: list[str]) -> None:
    said = explain(example(**values), sophia.Settings(), {"a.b": "Asks for tea"})
    for word in words:
        assert word in said, said


def test_the_packages_of_the_extra_are_named_when_they_are_not_there() -> None:
    assert missing() == []


def test_no_font_but_the_shipped_one_is_looked_for(tmp_path: Path) -> None:
    """And matplotlib leaves nothing behind, wherever it would keep its lists."""
    for name in ("home", "tmp", "bin", "out"):
        (tmp_path / name).mkdir()
    spy = tmp_path / "bin" / "fc-list"
    spy.write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\n")
    spy.chmod(0o755)
    code = (
        "import sys; sys.path.append(sys.argv[1]); from pathlib import Path\n"
        "from sophia.stream.plots import plots\n"
        "with plots(Path(sys.argv[2])) as draw: svg = draw.bars('a', 'b', [0, 8], [1], 'danger', 'inputs')\n"
        "from matplotlib.font_manager import fontManager\n"
        "print([font.name for font in fontManager.ttflist], 'matplotlib.pyplot' in sys.modules, svg[:4])\n"
    )
    home = str(Path(sophia.__file__).resolve().parents[1])
    done = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", code, home, tmp_path / "out"],
        capture_output=True,
        env={"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "tmp"), "PATH": str(tmp_path / "bin")},
    )
    assert done.stderr == b""
    assert done.stdout.decode().strip() == "['DejaVu Sans'] False <svg"
    assert not (tmp_path / "asked").exists()
    assert not [*(tmp_path / "home").iterdir(), *(tmp_path / "tmp").iterdir(), *(tmp_path / "out").iterdir()]

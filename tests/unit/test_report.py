# Over 600 lines: one page, whose every part is looked for in pages that are costly to make.
"""The report page: what stands in it, and that nothing from outside acts in it."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from intent_texts import split
from page import Page

import sophia
from sophia._core.decision import WHYS
from sophia.organs.intents import Intents
from sophia.stream.collect import Collector, Example
from sophia.stream.demo import demo_path
from sophia.stream.event import REASONS as INVALID
from sophia.stream.explain import FAULTS, REASONS, ROUTE_WORDS, explain, rule
from sophia.stream.hindsight import Difference, Hindsight, Later
from sophia.stream.readers import read_batches
from sophia.stream.report import missing, write_report
from sophia.stream.run import run
from sophia.stream.score import Score
from sophia.stream.summary import Summary

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
    usual = sophia.Settings(gestation_inputs=0)
    with sophia.open(None, settings=settings or usual, rules=rules or []) as brain:
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
    assert re.search(
        r"What was new\? 196 new patterns: .* 273 inputs \(13\.7 %\) went to deep thought as new", cards[1]
    )
    assert re.search(r"What was dangerous\? 46 inputs hit a danger rule 9 refused \(veto\), 37 reported", cards[1])
    assert re.search(r"What repeated\? 8\d\.\d % of the inputs had a pattern that had come before 373 inputs", cards[1])
    assert "83.4 % of all inputs were handled as known" in cards[1]
    assert re.search(
        r"What did it save\? 1,667 inputs spared the expensive step .* would be 1,999\. 332 still go", cards[1]
    )
    assert re.search(r"373 calls avoided for sure: .* 0 log lines or intents .* 1,294 of a known kind", cards[1])
    assert "0.75 saved at 0.002 a call" in cards[1]
    assert demo.source.index("What did it save?") < demo.source.index("Why was this line routed so?")


def test_there_is_a_table_under_each_plot(demo: Page) -> None:
    names = [svg["aria-label"] for svg in demo.all("svg")]
    assert len(names) == len(set(names)) == 6
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
    assert (tmp_path / "report.html").stat().st_size < 2 << 20


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


def test_what_an_audit_sends_on_or_withholds_saves_nothing(tmp_path: Path) -> None:
    """With each answer drawn nothing is saved, with some drawn the rest is; withheld ones are no saving either."""
    first = json.dumps({"text": "Who is on call?", "answer": "Ana"})
    question, other = json.dumps({"text": "Who is on call?"}), json.dumps({"text": "something else"})
    (tmp_path / "in.jsonl").write_text("\n".join([first, *[question, other] * 39]) + "\n")
    for share, avoided in ((1.0, 0), (0.4, None), (0.0, 39)):
        collector, summary, page = audited(tmp_path, share)
        assert summary.served == 39
        assert avoided in (None, summary.avoided)
        assert summary.avoided == summary.served - summary.audited
        (repeats,) = collector.repeats.values()
        assert repeats.count - repeats.drawn == summary.avoided
        card = page.text.split("What did it save?")[1].split("Where the inputs went")[0]
        lower = summary.routes["reflex"] + summary.routes["cortical"]
        assert card.startswith(f" {lower - summary.audited} inputs spared")
        assert f"{summary.avoided} calls avoided for sure" in card
        assert f"{summary.avoided * 0.5:.2f} saved at 0.5 a call" in card
        assert ("that an audit sent on as well" in card) == (share > 0)
        table = page.text.split("What was answered from memory")[1]
        assert f" {summary.avoided} {summary.avoided * 0.5:.2f} Who is on call?" in table
    wrong = [json.dumps({"text": "Who is on call?", "answer": f"person {i}"}) for i in range(30)]
    (tmp_path / "in.jsonl").write_text("\n".join(wrong) + "\n")
    _, summary, page = audited(tmp_path, 1.0)
    assert summary.withheld > 10
    assert summary.avoided == 0
    card = page.text.split("What did it save?")[1].split("Where the inputs went")[0]
    assert card.startswith(" 0 inputs spared")
    assert re.search(r" 0 log lines .* 0 of a known kind", card)


def audited(folder: Path, share: float) -> tuple[Collector, Summary, Page]:
    """What a run over in.jsonl collected and counted, and its page."""
    settings = sophia.Settings(audit=share, audit_budget=0.1)
    with sophia.open(None, settings=settings) as brain:
        collector = Collector()
        reader = read_batches([folder / "in.jsonl"])
        summary = run(reader, brain, io.BytesIO(), io.BytesIO(), collector=collector)
    write_report(folder / "page.html", collector, summary, reader.counts, brain, cost_per_call=0.5)
    page = Page((folder / "page.html").read_text(encoding="utf-8"))
    page.check()
    return collector, summary, page


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
        "why": "novel", "via": "", "danger_score": 0.0, "severity": 0.5,
        "route": "deep_thought", "verdict": "allow", "confidence": 0.0, "complexity": 0.0, "pattern": 1, "rule": None,
        "match": None, "invalid": None, "withheld": False, "novelty": 1.0, "model": None, "intent": None,
        "runner_up": None, "session": None, "session_novel": None,
        "sensor": None, "anomaly": None, "channel": None,
        "earlier": 0, "earlier_same": 0, "accepted": 0, "accepted_same": 0, "closeness": 1.0,
    }  # fmt: skip
    for name, value in (usual | values).items():
        setattr(one, name, value)
    return one


def seen(earlier: int, same: int | None = None, closeness: float = 1.0) -> dict[str, object]:
    """The evidence of an input whose pattern came so often, and its own words `same` times."""
    same = earlier if same is None else same
    confidence = closeness * earlier / (earlier + 1)
    return {
        "earlier": earlier, "earlier_same": same, "accepted": min(earlier, 3), "accepted_same": min(same, 3),
        "closeness": closeness, "confidence": confidence, "novelty": 1 - confidence,
    }  # fmt: skip


def test_every_reason_has_words() -> None:
    assert set(REASONS) == set(WHYS)
    assert set(FAULTS) >= set(INVALID)
    for why in WHYS:
        for route, words in ROUTE_WORDS.items():
            said = explain(example(why=why, route=route, confidence=0.6), sophia.Settings(), {})
            assert len(said) > 30
            assert rule(why, route, sophia.Settings())
            if why in ("known-pattern", "complex", "gestating", "error"):
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
        (
            {"why": "novel", "novelty": 0.9, "anomaly": 0.9, "channel": "bar", "sensor": "pump"},
            ["\u201cbar\u201d of the sensor \u201cpump\u201d", "hardly ever", "score 0.90"],
        ),
        ({"why": "novel", "earlier": 5}, ["5 times before", "never accepted in the default scope"]),
        ({"why": "known-pattern", "route": "reflex", **seen(3)}, ["seen 3 times before", "0.75", "reflex"]),
        ({"why": "known-pattern", "route": "reflex", **seen(400)}, ["seen 400 times before", "confidence 0.997;"]),
        ({"why": "known-pattern", "route": "reflex", **seen(400_000)}, ["confidence 0.999;"]),
        ({"why": "known-pattern", "route": "cortical", **seen(1)}, ["seen once", "0.50", "not yet", "cortical"]),
        ({"why": "known-pattern", "route": "cortical", **seen(2)}, ["seen twice", "0.67"]),
        (
            {"why": "known-pattern", "route": "cortical", **seen(72, same=0, closeness=5 / 7)},
            ["seen 72 times before", "but never with this very constant part", "closeness 0.71", "0.70", "not yet"],
        ),
        (
            {"why": "known-pattern", "route": "cortical", **seen(72, same=2, closeness=5 / 7)},
            ["seen 72 times before", "with these very words only twice"],
        ),
        (
            {"why": "known-pattern", "route": "cortical", **seen(40, same=4), "confidence": 0.8, "novelty": 0.2},
            ["seen 40 times before", "4 times with these very words", "0.80"],
        ),
        (
            {
                "why": "known-pattern",
                "route": "cortical",
                **seen(9),
                "accepted": 1,
                "accepted_same": 1,
                "confidence": 0.5,
            },
            ["seen 9 times before", "only 1 counts in the default scope", "0.50"],
        ),
        (
            {"why": "known-pattern", "route": "cortical", **seen(9), "plain": False},
            ["seen 9 times", "no stored answer", "cortical"],
        ),
        (
            {"why": "known-pattern", "route": "cortical", **seen(9), "withheld": True},
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
            {"why": "known-pattern", "route": "reflex", **seen(3), "confidence": 0.99, "model": "m"},
            ["seen 3 times", "0.75"],
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
        ({"why": "danger", "rule": "a.b", "verdict": "flag"}, ["so somebody should look at it"]),
        ({"why": "danger", "rule": "a.b", "verdict": "flag", "severity": 0.25}, ["is low", "needs no look by itself"]),
        ({"why": "danger", "rule": "a.b", "verdict": "flag", "earlier": 203}, ["203 times before", "not looked at"]),
        ({"why": "complex", "route": "deep_thought", "complexity": 0.8, "confidence": 0.9}, ["0.80", "0.75"]),
        ({"why": "too-long"}, ["20,000"]),
        ({"why": "invalid", "invalid": "not-json"}, ["not JSON"]),
    ],
)
def test_a_reason_names_its_evidence(values: dict[str, object], words: list[str]) -> None:
    said = explain(example(**values), sophia.Settings(), {"a.b": "Asks for tea"})
    for word in words:
        assert word in said, said


def test_no_share_below_one_is_shown_as_one(tmp_path: Path) -> None:
    _, page = decided("job is done\n" * 3000, tmp_path, seed=331546, reflex_confidence=0.9999)
    assert "confidence 1.00" not in page.text
    assert "1.00 lets a log line" not in page.text
    assert "confidence 0.999." in page.text
    assert "Seed 331546 " in page.text


def test_its_own_words_are_explained_before_they_are_used(tmp_path: Path) -> None:
    _, page = decided("job is done\n" * 9 + "Failed password for root from 192.0.2.7 port 22 ssh2\n", tmp_path)
    for word, meaning in (
        ("default scope", "No input here names one, so all have one owner together, the default scope."),
        ("owner", "the owner (scope) is whom an input belongs to"),
        ("accepted", "An input is accepted, so that its kind becomes known to its owner, unless it hit a danger rule"),
        ("Policy", "Policy [0-9a-f]+, a fingerprint of the settings and danger rules in force"),
    ):
        found = re.search(meaning, page.text) or re.search(re.escape(meaning), page.text)
        assert found, meaning
        assert found.start() <= page.text.index(word) < found.end(), word
    assert "answered repeats" not in page.text
    (tmp_path / "in.jsonl").write_text('{"text": "Who?", "answer": "x", "scope": "ana"}\n' * 3)
    page = report(tmp_path / "page.html", tmp_path / "in.jsonl")
    assert "Inputs that name no owner have one together, the default scope." in page.text
    assert "answered repeats" in page.text


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


@pytest.mark.parametrize(
    ("values", "hindsight", "words"),
    [
        (
            seen(72, same=0, closeness=5 / 7),
            Hindsight(["oralce"]),
            ["72 times", "\u201coralce\u201d is new in its place"],
        ),
        (
            seen(72, same=0, closeness=4 / 7),
            Hindsight(["ana", "tty1"]),
            ["\u201cana\u201d and \u201ctty1\u201d never stood in these places together"],
        ),
        (
            {"why": "novel", "pattern": 9},
            Hindsight(survivor=3),
            ["told apart then", "id 9", "pattern 3", "merged since"],
        ),
        (
            seen(1, same=0, closeness=0.9),
            Hindsight(difference=Difference("line 7", writing=True)),
            ["beside the first one here (line 7) its capitals, blanks or signs differ"],
        ),
        (
            seen(1, same=0, closeness=0.9),
            Hindsight(difference=Difference("line 7", ["in"], ["XMAS", "ur"])),
            ["(line 7) \u201cin\u201d stands only here and \u201cXMAS\u201d, \u201cur\u201d only there"],
        ),
        (
            seen(1, same=0, closeness=0.9),
            Hindsight(difference=Difference("line 7")),
            ["(line 7) it has other, more or fewer numbers"],
        ),
        ({"why": "novel"}, Hindsight(absorbed=2), ["No earlier input", "2 more patterns", "merged with it later"]),
    ],
)
def test_a_reason_tells_what_came_of_the_pattern(
    values: dict[str, object], hindsight: Hindsight, words: list[str]
) -> None:
    usual = {"why": "known-pattern", "route": "cortical"}
    said = explain(example(**(usual | values)), sophia.Settings(), {}, hindsight)
    for word in words:
        assert word in said, said


def logins(names: list[str]) -> str:
    return "".join(f"sshd[{i}]: invalid user {name} [preauth]\n" for i, name in enumerate(names))


NAMES = ["webmaster", "test9", "chen", "matlab", "oracle", "support", "guest", "ftpuser", "git", "deploy", "jenkins"]


def decided(text: str, folder: Path, **settings: object) -> tuple[list[dict[str, object]], Page]:
    """The records of a run over the lines of `text`, and its page."""
    (folder / "in.log").write_text(text)
    out = io.BytesIO()
    with sophia.open(None, settings=sophia.Settings(**settings)) as brain:  # type: ignore[arg-type]
        collector = Collector()
        reader = read_batches([folder / "in.log"])
        summary = run(reader, brain, out, io.BytesIO(), collector=collector)
    write_report(folder / "page.html", collector, summary, reader.counts, brain)
    page = Page((folder / "page.html").read_text(encoding="utf-8"))
    page.check()
    return [json.loads(line) for line in out.getvalue().splitlines()], page


def test_each_line_can_be_looked_up_in_the_page(tmp_path: Path) -> None:
    """Its number stands in the table of patterns, once, under its pattern, with its route and why."""
    records, page = decided(logins(NAMES * 4) + "job is done\n" * 7, tmp_path)
    found: dict[int, tuple[str, str]] = {}
    cells = re.findall(
        r"<div><span class=.route (\w+).>[^<]*</span>\s*, <bdi class=.text.>([a-z-]+)</bdi>(.*?)</div>", page.source
    )
    for route, why, rest in cells:
        lines = re.sub(r"<details><summary>the rest</summary>(.*)</details>", r", \1", rest.partition(": ")[2])
        for piece in lines.split(", "):
            first, _, last = piece.partition("\u2013")
            for line in range(int(first), int(last or first) + 1):
                assert line not in found
                found[line] = route, why
    assert found == {record["line"]: (record["route"], record["why"]) for record in records}
    notes = {note for _, why, rest in cells if why == "known-pattern" for note in re.findall(r"^ \((.*?)\)", rest)}
    assert notes <= {"not quite like those before"}


def different(count: int) -> str:
    """So many lines that share no pattern."""
    words = [f"{i:05}".translate(str.maketrans("0123456789", "ghijklmnop")) for i in range(count)]
    return "".join(f"{word} {word[::-1]}{word} came {word}{word}\n" for word in words)


def test_a_table_that_was_cut_says_how_much_of_the_input_it_lists(tmp_path: Path) -> None:
    records, page = decided("job is done\n" * 5 + different(500), tmp_path)
    assert len({record["pattern"] for record in records}) == 501
    assert "find its number in the table of patterns below if it is there, with its route" in page.text
    assert "That table lists 204 of the 505 inputs (40.4 %): only those of the 200 most frequent patterns." in page.text
    assert "All of them are in decisions.jsonl, their patterns in patterns.jsonl." in page.text
    assert "The 30 most frequent of the 501 patterns that came in this run" in page.text
    assert "counts at most" not in page.text
    _, page = decided("job is done\n" * 5100, tmp_path)
    assert "lists 5,000 of the 5,100 inputs (98.0 %): only of the first 5,000. All" in page.text
    _, page = decided("job is done\n" * 5, tmp_path)
    assert "That table lists" not in page.text


def test_more_patterns_than_are_counted(tmp_path: Path) -> None:
    """Each number is told with what it counts, and what is missing is told in full."""
    _, page = decided("job is done\n" * 5 + different(4400), tmp_path)
    assert "What was new? 4,401 new patterns:" in page.text
    assert "4,401 patterns in all, 4,401 new in this run" in page.text
    assert "This page counts at most 4,096 different patterns at a time." in page.text
    assert "none that had come more than once by then" in page.text
    assert "may be too low; patterns.jsonl has every pattern with its full count" in page.text
    assert "The 30 most frequent patterns of this run" in page.text


def test_a_word_that_is_new_is_named_with_the_number_of_earlier_lines(tmp_path: Path) -> None:
    records, page = decided(logins([*NAMES * 3, "oralce"]), tmp_path)
    assert records[-1]["why"] in ("known-pattern", "low-confidence")
    assert re.search(r"seen 3\d times before .*, but \u201coralce\u201d is new in its place", page.text)


VOICEMAIL = "You have 1 new voicemail. Please call 08719181503"


@pytest.mark.parametrize(
    ("first", "then", "told"),
    [
        (VOICEMAIL, VOICEMAIL + ".", "its capitals, blanks or signs differ"),
        (
            'Eerie tones for all, reply to 8007 or 150p"',
            'Eerie tones for all, reply to 8007 or 150p "',
            "its capitals, blanks or signs differ",
        ),
        (
            "I have to take exam with march 3 and pay 5",
            "I have to take exam with in march 3 and pay 5",
            "\u201cin\u201d stands only here",
        ),
    ],
)
def test_what_differs_from_the_line_before_is_told(first: str, then: str, told: str, tmp_path: Path) -> None:
    records, page = decided(f"{first}\n{then}\n", tmp_path)
    assert records[1]["pattern"] == records[0]["pattern"]
    assert records[1]["why"] == "low-confidence"
    assert f"never with this very constant part: beside the first one here (line 1) {told}. So" in page.text
    assert "is new in its place" not in page.text
    assert "(a word is new)" not in page.text


def test_a_secret_word_is_not_named(tmp_path: Path) -> None:
    lines = [f"login --token {name}9x for all of us" for name in NAMES * 3]
    _, page = decided("\n".join([*lines, "login --token hunter77 for all of us"]) + "\n", tmp_path)
    assert "hunter77" not in page.source
    limits = page.text.split("What this cannot see")[-1]
    assert "Only this page is masked" in limits
    assert (
        "patterns.jsonl, sessions.jsonl and the store hold texts as they came, so share the page and not them" in limits
    )


def test_patterns_that_were_merged_later_are_told(tmp_path: Path) -> None:
    records, page = decided(logins(NAMES * 3), tmp_path)
    (first, second) = [record["pattern"] for record in records[:2]]
    assert first != second
    assert f"made a pattern of their own (id {second})" in page.text
    assert f"is the same as pattern {first}" in page.text
    assert "What was new? 1 new pattern:" in page.text


def test_the_page_counts_patterns_as_they_are_at_the_end(tmp_path: Path) -> None:
    """What repeated, and the patterns of a rule, are those of patterns.jsonl with the merged ones resolved."""
    alarms = "".join(f"sshd[{i}]: Failed password for {name} on tty1\n" for i, name in enumerate(NAMES * 2))
    (tmp_path / "in.log").write_text(logins(NAMES * 2) + alarms + "job is done\n")
    out, patterns = io.BytesIO(), io.BytesIO()
    with sophia.open(None) as brain:
        collector = Collector()
        reader = read_batches([tmp_path / "in.log"])
        summary = run(reader, brain, out, patterns, collector=collector)
    write_report(tmp_path / "page.html", collector, summary, reader.counts, brain)
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    merged = {one["id"]: one["merged_into"] for one in map(json.loads, patterns.getvalue().splitlines())}
    seen: set[int] = set()
    hit: set[int] = set()
    repeated = repeated_danger = 0
    for record in map(json.loads, out.getvalue().splitlines()):
        id = record["pattern"]
        while merged[id] is not None:
            id = merged[id]
        repeated += id in seen
        if record["danger"] is not None:
            repeated_danger += id in seen
            hit.add(id)
        seen.add(id)
    assert len(seen) < len(merged)
    assert len({e.pattern for e in collector.rules["log.auth-failure"].examples}) > len(hit)
    card = page.text.split("What repeated?")[1].split("What did it save?")[0]
    assert card.startswith(f" {100 * repeated / summary.decisions:.1f} % of the inputs")
    assert f"{repeated_danger} repeats" in card
    assert f"A login failed: {summary.rules['log.auth-failure']} ({len(hit)} pattern;" in page.text


def test_what_repeats_holds_together(tmp_path: Path) -> None:
    """The share and the list count the same inputs: danger too. What came once is not called repeated."""
    line = "Failed password for root from 192.0.2.7 port 22 ssh2\n"
    _, page = decided(line * 60 + "job is done\n" * 40, tmp_path)
    card = page.text.split("What repeated?")[1].split("What did it save?")[0]
    assert card.startswith(" 98.0 % of the inputs")
    assert re.search(r"39\.0 % of all inputs were handled as known; 59 repeats \(59\.0 %\) hit a danger rule", card)
    assert "60 \u00d7 (all dangerous)" in card
    assert "40 \u00d7" in card
    _, page = decided("one\ntwo is here\nthree are not there\n", tmp_path)
    card = page.text.split("What repeated?")[1].split("What did it save?")[0]
    assert "0.0 % of the inputs" in card
    assert "No pattern came twice" in card
    assert "\u00d7" not in card


def test_what_is_rare_is_named_before_the_latest(tmp_path: Path) -> None:
    usual = "job is done\ndisk sda is fine\nFailed password for root from 192.0.2.7 port 22 ssh2\n"
    _, page = decided(usual * 40 + "Accepted password for fztu\n" + usual * 40, tmp_path)
    card = page.text.split("What was new?")[1].split("What was dangerous?")[0]
    assert "Seen once or twice" in card
    assert "line 121 (1 \u00d7, after 117 inputs without anything new) Accepted password for fztu" in card


def test_a_gap_is_that_to_the_new_pattern_before(tmp_path: Path) -> None:
    """Also where that one is not in the lists of the page: of 400 new patterns they have 150."""
    words = ["".join(chr(97 + (i * 7 + k * 11 + i // 26 * k) % 26) for k in range(9)) for i in range(400)]
    news = [f"{word} {word[::-1]} came by" for word in words]
    _, page = decided("\n".join(news) + "\n", tmp_path)
    card = page.text.split("What was new?")[1].split("What was dangerous?")[0]
    assert "without anything new)" not in card
    usual = ["job is done"] * 60
    _, page = decided("\n".join(["job is done", *news[:120], *usual, "late it is", *news[120:]]) + "\n", tmp_path)
    card = page.text.split("What was new?")[1].split("What was dangerous?")[0]
    assert "line 182 (1 \u00d7, after 60 inputs without anything new) late it is" in card
    assert card.count("without anything new)") == 1


def test_danger_is_grouped_and_low_alarms_are_only_counted(tmp_path: Path) -> None:
    text = "".join(f"Failed password for ana from 192.0.2.{i} port 22 ssh2\n" for i in range(9))
    _, page = decided(text + "Failed password for root from 192.0.2.1 port 22 ssh2\n" * 3, tmp_path)
    card = page.text.split("What was dangerous?")[1].split("What repeated?")[0]
    assert re.search(r"(\d+) are low: counted", card)
    assert re.search(r"low A login failed: 9 \(\d patterns?, 9 addresses; line 1,", card)
    assert page.text.count("not looked at") >= 2
    lines = re.findall(
        r"rule log\.(auth-\w+) looks for .*?So: deep thought|rule log\.(auth-\w+) .*?goes to deep", page.text
    )
    assert {one or other for one, other in lines} == {"auth-failure", "auth-attack"}
    assert not re.search(r"rule log\.auth-failure looks for(?:(?!deep thought).)*somebody should look at it", page.text)


def test_a_router_does_not_claim_that_all_was_seen_before(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(
        "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in zip(*split()[1], strict=True))
    )
    with sophia.open(None) as brain:
        brain.use(Intents.fit(*split()[0], in_scope_loss=0.0))
        collector, score = Collector(), Score([route.name for route in brain.intents.routes])
        reader = read_batches([tmp_path / "in.jsonl"])
        summary = run(reader, brain, io.BytesIO(), io.BytesIO(), collector=collector, score=score)
    write_report(tmp_path / "page.html", collector, summary, reader.counts, brain, score=score)
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    page.check()
    card = page.text.split("What was new?")[1].split("What was dangerous?")[0]
    assert "The router of intents decided" in card
    assert "known before" not in card
    section = page.text.split("How well it agrees with the labels")[1].split("Routes over time")[0]
    assert re.search(r"Intents: [01]\.\d{3} of \d+ inputs in scope got the right one", section)
    assert re.search(r"Mean over the intents: precision [01]\.\d{3}, recall", section)


def test_the_score_stands_in_the_page(tmp_path: Path) -> None:
    labels = ["ham", "spam", "<b>odd</b>", None]
    (tmp_path / "in.jsonl").write_text(
        "".join(json.dumps({"text": f"message {i % 5}", "label": labels[i % 4]}) + "\n" for i in range(40))
    )
    with sophia.open(None) as brain:
        collector, score = Collector(), Score()
        reader = read_batches([tmp_path / "in.jsonl"])
        summary = run(reader, brain, io.BytesIO(), io.BytesIO(), collector=collector, score=score)
    write_report(tmp_path / "page.html", collector, summary, reader.counts, brain, score=score)
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    page.check()
    section = page.text.split("How well it agrees with the labels")[1].split("Routes over time")[0]
    told = score.as_dict()
    assert "30 inputs have a label, 10 have none" in section
    assert f"{told['raised']['recall']:.3f}" in section  # type: ignore[index]
    assert "<b>odd</b> yes 10" in section
    assert "How well it agrees" not in report(tmp_path / "plain.html", tmp_path / "in.jsonl").text


def test_the_number_of_patterns_is_one_number(tmp_path: Path) -> None:
    """In the file, in the summary and on the page; answered texts written in another way are none."""
    texts = ["Who is on call tonight?", "Who Is On Call tonight", "Reset my password", "reset my Password", "Thanks"]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": text, "answer": "x"}) + "\n" for text in texts * 3))
    patterns = io.BytesIO()
    with sophia.open(None) as brain:
        collector = Collector()
        reader = read_batches([tmp_path / "in.jsonl"])
        summary = run(reader, brain, io.BytesIO(), patterns, collector=collector)
        assert Later(brain.thalamus.patterns, brain.settings).absorbed == {}
    write_report(tmp_path / "page.html", collector, summary, reader.counts, brain)
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert summary.patterns == summary.new_patterns == len(patterns.getvalue().splitlines()) == 3
    assert "What was new? 3 new patterns:" in page.text
    assert "3 in all, of them 3 new in this run" in page.text
    assert "3 patterns in all, 3 new in this run" in page.text

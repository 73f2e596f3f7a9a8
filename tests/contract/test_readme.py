"""The README tells the truth: its code runs, its commands are those that CI runs."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["README.md", "docs/actors.md", "docs/hdc.md", "docs/torchhd.md"])
def test_the_code_runs(name: str) -> None:
    result = doctest.testfile(str(ROOT / name), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 0
    assert result.failed == 0


def test_ci_calls_the_test_command_of_the_readme() -> None:
    commands = re.findall(r"```sh\n(.*?)\n```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    tests = [command for command in commands if command.endswith("tox")]
    assert len(tests) == 1
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert tests[0].replace("pip install tox", "pip install -q tox") in script


def test_the_sample_rule_of_the_readme_loads(tmp_path: Path) -> None:
    from sophia.organs.danger import RuleSet

    sample = re.search(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    assert sample
    file = tmp_path / "rules.toml"
    file.write_text(sample[1], encoding="utf-8")
    hit = RuleSet.load([file]).scan("please wire the money today")
    assert hit is not None
    assert hit.rule == "acme.wire-transfer"

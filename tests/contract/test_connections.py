"""Connections to SQLite are closed: `with` around a connection ends a transaction and leaves the connection open."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(path for room in ("sophia", "tests", "benchmarks", "examples") for path in (ROOT / room).rglob("*.py"))


def left_open(tree: ast.AST) -> list[int]:
    """Lines whose `with` is the only one that holds a connection: a garbage collection of some later time closes it."""
    return [
        item.context_expr.lineno
        for node in ast.walk(tree) if isinstance(node, ast.With | ast.AsyncWith) for item in node.items
        if isinstance(item.context_expr, ast.Call) and ast.unparse(item.context_expr.func) == "sqlite3.connect"
    ]  # fmt: skip


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_with_leaves_a_connection_open(path: Path) -> None:
    assert left_open(ast.parse(path.read_text(encoding="utf-8"))) == []


def test_such_a_with_is_found() -> None:
    assert left_open(ast.parse("with open(a), sqlite3.connect(b) as c:\n    pass")) == [1]
    assert left_open(ast.parse("with closing(sqlite3.connect(b)) as c, c:\n    pass")) == []

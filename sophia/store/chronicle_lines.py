"""Lines of the journal as tables of Arrow: each line by itself, whatever it stands beside."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow

__all__ = ["arrow_type", "clean", "records"]

_NO_NUMBER = re.compile(rb"[:,\[]\s*-?(?:NaN|Inf)")
_ALARM = {
    "kind": "VARCHAR", "source": "VARCHAR", "pattern": "BIGINT", "at_seconds": "DOUBLE", "since_seconds": "DOUBLE",
    "usual": "DOUBLE", "found": "DOUBLE",
}  # fmt: skip
# Of a record what is taken, and what type it must have to be a record at all.
_FIELDS: dict[str, str] = {
    "run": "BIGINT", "at": "DOUBLE", "n": "BIGINT", "id": "VARCHAR", "ts": "VARCHAR", "scope": "VARCHAR",
    "route": "VARCHAR", "why": "VARCHAR", "verdict": "VARCHAR", "novelty": "DOUBLE", "pattern": "BIGINT",
    "intent": "VARCHAR", "confidence": "DOUBLE", "runner_up": "VARCHAR", "answer": "VARCHAR", "k": "DOUBLE[]",
    "policy_version": "VARCHAR", "us": "DOUBLE", "audit": "BOOLEAN", "agrees": "BOOLEAN", "withheld": "BOOLEAN",
    "danger_score": "DOUBLE", "source": "VARCHAR", "line": "BIGINT", "reason": "VARCHAR", "session": "VARCHAR",
    "sensor": "VARCHAR", "anomaly": "DOUBLE", "moment": "DOUBLE",
}  # fmt: skip


def records(data: bytes) -> tuple[pyarrow.Table, int]:
    """Lines of the journal as a table, and how many of them are no records. They are taken at once where each is by
    itself what the journal writes: a reader of JSON takes several in one line too, and has other ideas of what is none.
    """
    import pyarrow as pa

    lines = data.count(b"\n")
    if data.isascii() and data.count(b"\n{") + data.startswith(b"{") == lines and not _NO_NUMBER.search(data):
        with suppress(pa.ArrowInvalid):
            table = _parsed(data)
            if len(table) == lines:
                return table, 0
    good, strange = [], 0
    for line in data.removesuffix(b"\n").split(b"\n"):
        cleaned = _cleaned(line)
        if cleaned is None:
            strange += 1
        else:
            good.append(cleaned)
    return _parsed(b"\n".join(good)), strange


def _parsed(data: bytes) -> pyarrow.Table:
    import pyarrow as pa
    from pyarrow import json as arrow_json

    schema = pa.schema(
        [(name, arrow_type(kind)) for name, kind in _FIELDS.items()]
        + [
            ("danger", pa.struct([("rule", pa.string()), ("severity", pa.float64())])),
            ("match", pa.struct([("id", pa.string()), ("score", pa.float64())])),
            ("salience", pa.struct([("attention", pa.float64())])),
            ("alarm", pa.struct([(name, arrow_type(kind)) for name, kind in _ALARM.items()])),
        ]
    )
    if not data.strip():
        return schema.empty_table()
    table = arrow_json.read_json(
        BytesIO(data),
        read_options=arrow_json.ReadOptions(use_threads=False, block_size=len(data) + 1),
        parse_options=arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
    )
    if any(table.column(name).null_count for name in ("run", "n")):
        message = "a record without run or n"
        raise pa.ArrowInvalid(message)
    return table


def _cleaned(line: bytes) -> bytes | None:
    """One line by itself: as Arrow takes it, with U+FFFD for what no text can hold, and nothing for what is no number;
    None where it is no record."""
    import pyarrow as pa

    try:
        one = json.loads(line, parse_constant=lambda _: None)
        if not isinstance(one, dict):
            return None
        text = json.dumps(clean(one)).encode()
        return text if len(_parsed(text)) == 1 else None  # an object begins it: of others Arrow dies
    except (ValueError, RecursionError, pa.ArrowInvalid):
        return None


def clean(value: Any) -> Any:
    """The same, with U+FFFD for what no text can hold."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {clean(name): clean(one) for name, one in value.items()}
    return [clean(one) for one in value] if isinstance(value, list) else value


def arrow_type(kind: str) -> Any:
    """That of Arrow for one of DuckDB."""
    import pyarrow as pa

    plain = {"BIGINT": pa.int64(), "DOUBLE": pa.float64(), "VARCHAR": pa.string(), "BOOLEAN": pa.bool_()}
    return pa.list_(plain[kind[:-2]]) if kind.endswith("[]") else plain[kind]

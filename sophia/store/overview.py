"""What a store holds, at a glance: looked up without the lock and without reading it all."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sophia.errors import StoreCorrupt
from sophia.store import derived
from sophia.store.answer_key import split_key
from sophia.store.folder import StoreFolder
from sophia.store.journal import journal_files
from sophia.store.lock import holder
from sophia.store.schema import ROUTER
from sophia.store.view import StoreView

__all__ = ["overview"]

# Scopes that are named, those with most answers first.
_SHOWN = 100


def overview(path: Path) -> dict[str, Any]:
    """Facts about the store `path`, for JSON; keys may be added and are never renamed.

    Read-only; works while another process writes. Rows are counted, not checked: that is `check`.
    """
    folder = StoreFolder(path)
    folder.require()
    with StoreView(folder.file) as view:
        runs = view.meta("runs")
        return {
            "path": str(path),
            "format": view.format,
            "writer": holder(folder.lock),
            "written": datetime.fromtimestamp(folder.written(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "runs": int(runs) if runs is not None and runs.isdigit() else None,
            "answers": _answers(view),
            "patterns": {
                "kept": view.count("patterns WHERE id > 0 AND merged_into IS NULL"),
                "merged": view.count("patterns WHERE id > 0 AND merged_into IS NOT NULL"),
            },
            "pending": view.count("pending") if view.format > 1 else 0,
            "memories": _memories(view),
            **{name: _derived(view, name) for name in derived.NAMES},
            "router_bytes": len(view.derived(ROUTER)[0] or b""),
            "decisions": _journal(path),
            "files": folder.files(),
            "foreign": folder.foreign(),
        }


def _answers(view: StoreView) -> dict[str, Any]:
    # Grouped by SQLite, which spills to the disk: a store may have a scope for each of a million users.
    view.name_function("scope_of", _scope)
    scopes = view.execute(
        "SELECT scope_of(key), count(*) FROM answers GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT ?", _SHOWN + 1
    )
    policies = view.execute("SELECT policy, count(*) FROM answers GROUP BY 1 ORDER BY max(rowid) DESC LIMIT ?", _SHOWN)
    return {
        "count": view.count("answers"),
        "expiring": view.count("answers WHERE expires > 0"),
        "scopes": [{"scope": scope, "answers": count} for scope, count in scopes[:_SHOWN]],
        "more_scopes": len(scopes) > _SHOWN,
        "policies": [{"policy_version": policy, "answers": count} for policy, count in policies],
    }


def _journal(path: Path) -> dict[str, int]:
    files = journal_files(path)
    return {"files": len(files), "bytes": sum(file.bytes for file in files)}


def _memories(view: StoreView) -> dict[str, Any]:
    if view.format < 3:
        return {"count": 0, "scopes": [], "more_scopes": False}
    scopes = view.execute("SELECT scope, count(*) FROM memories GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT ?", _SHOWN + 1)
    return {
        "count": view.count("memories"),
        "scopes": [{"scope": scope, "memories": count} for scope, count in scopes[:_SHOWN]],
        "more_scopes": len(scopes) > _SHOWN,
    }


def _scope(key: object) -> str | None:
    parts = split_key(key) if isinstance(key, bytes) else None
    return None if parts is None else parts.scope


def _derived(view: StoreView, name: str) -> dict[str, Any]:
    dump, log = view.derived(name)
    facts: dict[str, Any] = {"dump_bytes": len(dump or b""), "log_bytes": sum(map(len, log))}
    try:
        table = derived.rebuild(name, dump, log)
    except StoreCorrupt as error:
        return facts | {"problem": str(error)}
    facts |= derived.KINDS[name].facts(table)
    # Without a dump the size of the filter is that of the next run's settings, not the store's.
    return facts | {"capacity": None} if name == "familiar" and dump is None else facts

"""What a store holds as JSON lines: answers in the order in which they were stored, patterns and memories by id."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sophia.errors import StoreCorrupt
from sophia.store.answer_key import split_key
from sophia.store.folder import StoreFolder
from sophia.store.memories import strengths
from sophia.store.pending import Pending
from sophia.store.view import StoreView

__all__ = ["Export"]

_MEMORIES, _STRENGTHS = 3, 4  # formats that brought them
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Export:
    """The lines of the store `path`, and what was passed over while they were made.

    `damaged` counts rows that are not what was stored, `lines` answers that were given to log lines: `sophia run`
    reads JSON as messages, so those come back for equal messages only. `waiting` counts inputs of a run that is
    going on, or was killed, whose effects are in no table yet: the next commit, or the next run, puts them there.
    """

    path: Path
    damaged: int = 0
    lines: int = 0
    waiting: int = 0

    def answers(self, scope: str | None = None) -> Iterator[str]:
        """An object for each answer, of one scope or of all, expired ones too.

        `text` is the input that it was given for; with `scope`, `context` and `answer` it is what `sophia run`
        reads. The policy says which rules and settings it was stored under.
        """
        with self._open() as view:
            table = view.table("answers")
            for row in view.rows(table):
                key = split_key(row[1]) if table.fault(row) is None else None
                if key is None:
                    self.damaged += 1
                    continue
                if scope is not None and key.scope != scope:
                    continue
                self.lines += key.kind == "line"
                _, _, raw, answer, name, policy, expires, *_ = row
                yield json.dumps(
                    {
                        "text": raw.decode("utf-8", "replace"),
                        "scope": key.scope,
                        "context": key.context,
                        "answer": answer,
                        "id": name,
                        "kind": key.kind,
                        "policy_version": policy,
                        "expires": expires or None,
                    }
                )

    def patterns(self) -> Iterator[str]:
        """An object for each pattern, with the keys of patterns.jsonl."""
        with self._open() as view:
            table = view.table("patterns")
            for row in view.rows(table, " WHERE id > 0"):
                if table.fault(row) is not None:
                    self.damaged += 1
                    continue
                id, template, count, first_n, last_n, merged_into, *_ = row
                yield json.dumps(
                    {
                        "id": id,
                        "template": template,
                        "count": count,
                        "first_n": first_n,
                        "last_n": last_n,
                        "merged_into": merged_into,
                    }
                )

    def memories(self, scope: str | None = None) -> Iterator[str]:
        """An object for each memory, of one scope or of all, by id; `vector` (base64) where it has no text.

        `text`, `scope`, `context`, `ts` and `answer` are what `sophia remember --file` reads.
        """
        with self._open() as view:
            if view.format < _MEMORIES:
                return
            later = strengths(view.rows(view.table("strengths"))) if view.format >= _STRENGTHS else {}
            table = view.table("memories")
            for row in view.rows(table):
                if table.fault(row) is not None:
                    self.damaged += 1
                    continue
                id, owner, context, actor, kind, tags, ts, valence, strength, _, text, answer, dim, vector, *_ = row
                if scope is not None and owner != scope:
                    continue
                when = _EPOCH + timedelta(microseconds=ts)
                told = {
                    "id": id,
                    "text": text,
                    "scope": owner,
                    "context": context,
                    "actor": actor,
                    "kind": kind,
                    "tags": json.loads(tags),
                    "ts": when.isoformat().replace("+00:00", "Z"),
                    "valence": valence,
                    "strength": later[id][0] if id in later else strength,
                    "answer": answer,
                }
                if text is None:
                    told |= {"dim": dim, "vector": b64encode(vector).decode()}
                yield json.dumps(told)

    def require(self) -> None:
        """InputError, or the error that says why, where there is no store to read."""
        with self._open() as view:
            if view.format > 1:
                table = view.table("pending")
                self.waiting = sum(len(Pending.unpack(row[1])) for row in view.rows(table) if not table.fault(row))

    def _open(self) -> StoreView:
        folder = StoreFolder(self.path)
        folder.require()
        return StoreView(folder.file)

    def require_sound(self) -> None:
        """StoreCorrupt where rows had to be passed over."""
        if self.damaged:
            message = f"{self.damaged:,} damaged rows of the store {self.path} were left out; see `sophia store check`"
            raise StoreCorrupt(message)

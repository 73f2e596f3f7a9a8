"""Forgetting a scope: what a store knows of it, and what runs with this store have written of it elsewhere."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sophia._core.pattern import PatternTable
from sophia.errors import SophiaError, StoreCorrupt, StoreFailed, StoreFrozen
from sophia.opening import open as open_brain
from sophia.organs.memory_words import refuse_surrogates
from sophia.store.erasure import Erasure, erasure_of
from sophia.store.folder import JOURNAL, StoreFolder
from sophia.store.journal import journal_files
from sophia.store.lock import waited
from sophia.store.outputs import DECISIONS, Output
from sophia.store.schema import ROUTER
from sophia.store.store import Store
from sophia.stream.erasing import Erased, erase_outputs
from sophia.whole_file import sync

if TYPE_CHECKING:
    from sophia.organs.intents import Intents

__all__ = ["Forgotten", "forget_scope"]

_NAMED = 10  # files that are named


@dataclass(slots=True)
class Forgotten:
    """What was forgotten of a scope. `remains` says what cannot be taken back, or told apart, in words.

    In the store: `memories`, `answers`, `patterns` that nobody else had (and masked `lines` of such), `sessions` that
    were open, `sensors` whose usual numbers were known, `examples` that the router of intents had kept, `texts` that
    were taken out of the word counts, and `journaled` decisions. In files that runs have written: `decisions`,
    `pattern_lines` and `session_lines`; `removed` are files that went as a whole.
    """

    memories: int = 0
    answers: int = 0
    patterns: int = 0
    lines: int = 0
    sessions: int = 0
    sensors: int = 0
    examples: int = 0
    texts: int = 0
    journaled: int = 0
    decisions: int = 0
    pattern_lines: int = 0
    session_lines: int = 0
    removed: list[str] = field(default_factory=list)
    remains: list[str] = field(default_factory=list)

    @property
    def nothing(self) -> bool:
        """Whether nothing was known of it."""
        return not any(value for name, value in asdict(self).items() if name != "remains")

    def as_dict(self) -> dict[str, Any]:
        """For JSON; keys may be added and are never renamed."""
        return asdict(self)


def forget_scope(path: str | os.PathLike[str], scope: str, *, copies: bool = False, wait: float = 0.0) -> Forgotten:
    """Deletes all that the store `path` knows of a scope, and what it knows to be elsewhere; "" is the default scope.

    Memories, answers, sessions, sensors, patterns and kept examples go from the database in one step, their bytes
    overwritten, in its log too, and every segment and long-term index that held one of them as a whole. The decisions
    of the scope go from the journal of the store, and from the files of the runs that used this store. With `copies`
    what was set aside in the store as damaged or replaced is removed. Killed at any point it can be done again. `wait`
    is how many seconds to wait for the store.

    Raises ValueError for what cannot be a scope, StoreLocked, InputError where there is no store, StoreCorrupt for a
    damaged one, and StoreFailed, after all that can be done was, where something cannot be cleaned or removed. Cost: a
    pass over all memories, answers and patterns, and over the files. Inputs that a killed run has left are learned
    first, by a run of their own. A process that has the store open must close it before.

        >>> import sophia, tempfile
        >>> with tempfile.TemporaryDirectory() as store:
        ...     with sophia.open(store) as brain:
        ...         kept = brain.complete(brain.route("Where is my parcel?", scope="ana"), answer="In Jena.")
        ...     done = forget_scope(store, "ana")
        >>> done.answers, done.patterns
        (1, 1)
    """
    if not isinstance(scope, str):
        message = f"scope is of type {type(scope).__name__}; it is a str"
        raise TypeError(message)
    refuse_surrogates(scope, "scope")
    folder = StoreFolder(Path(path))
    folder.require()
    store = waited(lambda: Store(folder.path), wait)
    try:
        if store.crystalline:
            message = f"the store {path} is crystalline; `sophia crystallise --undo --store {path}`, then forget"
            raise StoreFrozen(message)
        if store.pending():  # inputs of a run that was killed: what they have taught must be there to be taken out
            store.close()
            waited(lambda: open_brain(folder.path), wait).close()
            store = waited(lambda: Store(folder.path), wait)
        folder.clear_leftovers()
        failed: list[str] = []
        done, made = _erase(store, scope, failed)
        rows = store.pattern_rows()
        table = PatternTable.restore(rows, capacity=max(16, len(rows)))
        files, elsewhere = store.outputs()
        outside = erase_outputs(files, scope, lambda id: _template(table, id), store.shown_otherwise)
        if not outside.failed:
            store.settle_outputs()
        for path in folder.chronicle():
            if path.is_symlink():
                done.remains.append(f"{path} was a link: what it leads to ({path.readlink()}) is as it was")
            _remove(path)  # the next question makes it anew
            done.removed.append(str(path))
        journaled = journal_files(folder.path.resolve())
        for left in (folder.path / JOURNAL).glob("*.part"):  # of one that was killed
            left.unlink()
        kept = [Output(str(file.path), DECISIONS, 0) for file in journaled]
        journal = erase_outputs(kept, scope, lambda id: _template(table, id))
        for file in journaled:
            with suppress(OSError):  # it is as old as it was
                os.utime(file.path, (file.written, file.written))
        done.remains += journal.kept
        done.journaled = journal.decisions
        failed += journal.failed
        done.decisions, done.session_lines, done.pattern_lines = outside.decisions, outside.sessions, outside.patterns
        done.removed += outside.removed
        unknown = int(store.meta("outputs_lost") or 0), int(store.meta("outputs_since") or 0)
    finally:
        store.close()
    aside = folder.aside()
    if copies:
        for name in aside:
            _remove(folder.path / name)
            done.removed.append(str(folder.path / name))
        sync(folder.path)
        aside = []
    done.remains += _outside(outside, elsewhere, aside, *unknown) + _inside(made)
    failed += outside.failed
    if failed:
        message = f"all else is forgotten, but {'; '.join(failed[:_NAMED])}; then forget once more"
        raise StoreFailed(message)
    return done


def _erase(store: Store, scope: str, failed: list[str]) -> tuple[Forgotten, Erasure]:
    """Inside the store. `failed` gets what stands in the way of leaving nothing."""
    from sophia.organs.intents import as_example

    router = _router(store)
    examples = set() if router is None else {text for route in router.routes for text in route.utterances}
    theirs: set[str] = set()

    def see(text: str) -> None:
        if (kept := as_example(text)) in examples:
            theirs.add(kept)

    made = erasure_of(store, scope, see)
    dumps = dict(made.dumps)
    if router is not None and theirs:
        dumps[ROUTER] = router.without_examples(theirs).dump()
    memories, answers = store.erase(scope, made.patterns, dumps, made.life)
    try:
        store.clean()
    except StoreCorrupt:
        raise
    except SophiaError as error:
        failed.append(str(error))
    patterns = made.patterns
    found = Forgotten(
        memories, answers, patterns.patterns, len(patterns.lines), made.sessions, made.sensors, len(theirs), made.texts
    )
    return found, made


def _inside(made: Erasure) -> list[str]:
    """What of the store's tables cannot be told apart by scope."""
    found = []
    if made.familiar:
        found.append(f"{made.familiar:,} fingerprints of familiar inputs, of all scopes; no text can be read from them")
    if made.orders:
        found.append("fingerprints of orders in sessions, of all scopes: no text can be read from them")
    if made.documents:
        found.append(
            f"word counts of {made.documents:,} texts, of all scopes: as hashes, without what is known of this one"
        )
    if made.observed:
        found.append(
            f"word counts of {made.observed:,} inputs that were observed before birth, of all scopes, as hashes and "
            "without the words that only this one had; and one sum of the vectors of all texts that were"
        )
    if made.patterns.unknown:
        found.append(f"{made.patterns.unknown:,} masked lines of which an older version did not keep whose they are")
    return found


def _outside(outside: Erased, elsewhere: list[str], aside: list[str], lost: int, since: int) -> list[str]:
    """What may be left elsewhere."""
    found = list(outside.kept)
    if outside.gone:
        found.append(f"files of runs that are not where they were: {_some(outside.gone)}")
    if elsewhere:
        found.append(f"files of runs of the store that this one is a copy of: {_some(elsewhere)}")
    if since > 1:
        found.append(f"files of the runs 1 to {since - 1:,}, from before the store kept where they are")
    if lost:
        found.append(f"{lost:,} files of old runs that the store no longer knows of")
    if aside:
        found.append(f"copies in the store: {', '.join(aside)}; --copies removes them")
    found.append(
        "what went to a pipe or a terminal, files that were copied or exported, backups of the store, what others have "
        "said of the scope, and the weights of routers that learned from its texts"
    )
    return found


def _some(paths: list[str]) -> str:
    more = f" and {len(paths) - _NAMED:,} more" if len(paths) > _NAMED else ""
    return ", ".join(paths[:_NAMED]) + more


def _router(store: Store) -> Intents | None:
    dump = store.router()
    if dump is None:
        return None
    from sophia.organs.intents import Intents

    return Intents.parse(dump, "its router of intents")


def _template(table: PatternTable, id: int) -> str | None:
    try:
        return table.template(id)
    except (KeyError, OverflowError):
        return None


def _remove(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError as error:
        message = f"{error.filename or path} cannot be removed ({error.strerror}); mend its permissions, or remove it"
        raise StoreFailed(message) from error

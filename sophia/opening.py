"""Opening a brain: its organs are made of what the store holds, once the store knows all that a dead process told."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any

from sophia._core.idf import IdfTable
from sophia._core.pattern import PatternTable
from sophia.brain import Sophia
from sophia.config import Settings
from sophia.errors import ConfigError, StoreCorrupt, StoreFailed
from sophia.gestation import Gestation
from sophia.organs.audit import Audit
from sophia.organs.batch import Columns
from sophia.organs.danger import RuleSet
from sophia.organs.masks import Masks
from sophia.organs.scanning import Scanners
from sophia.organs.thalamus import CHANGE_LOG, Thalamus
from sophia.store import derived
from sophia.store.ack import Delivery
from sophia.store.drift_table import DriftTable
from sophia.store.journal import Journal, set_aside
from sophia.store.ledger import Ledger
from sophia.store.pending import Pending
from sophia.store.store import Store

if TYPE_CHECKING:  # loaded when first used, as a start need not pay for it
    from sophia.organs.intents import Intents
    from sophia.organs.remembering import Remembering

__all__ = ["open"]

_DIM = 10_000  # of the vectors of a new store


def open(
    path: str | os.PathLike[str] | None,
    *,
    settings: Settings | None = None,
    rules: Sequence[str | os.PathLike[str]] = (),
    same: Callable[[str, str], bool] | None = None,
    model: str | os.PathLike[str] | None = None,
    clock: Callable[[], float] = time,
    workers: int = 1,
) -> Sophia:
    """Opens the brain whose memory is the folder `path` (made when it is not there); None keeps nothing.

    `rules` are further danger rule files (TOML) beside the shipped set. `same(served, new)` says whether two answers
    to an audited input are the same; without it they must be equal but for line ends and outer white space. `model`
    is a router of intents that was saved, a file or its folder; without it the one is used that was last fitted in
    this store, if any. `workers` are threads that may share what takes longer, before birth; the results are the same.

    Raises StoreLocked when another process has the store open, StoreVersionError for a store or router of a newer
    version, StoreCorrupt for a damaged one, InputError for a router that is not there, RuleError for a rule that
    cannot be taken, ConfigError for a mask, and for a file that is no router.
    """
    if settings is not None and not isinstance(settings, Settings):
        message = f"settings is a sophia.Settings, not {type(settings).__name__}"
        raise TypeError(message)
    if path is not None and (not (name := os.fspath(path)) or "\0" in name):
        message = f"the store is {name!r}; name a folder, or None for a brain that keeps nothing"
        raise ConfigError(message)
    settings = settings or Settings()
    rule_files = [Path(rule) for rule in rules]
    rule_set = RuleSet.load(rule_files)
    if settings.mask not in ("auto", "none"):
        Masks.load(settings.mask)  # what cannot be taken is refused before there is a store
    intents = None if model is None else _saved_router(model)
    scanners = Scanners(workers)
    if path is None:
        thalamus = Thalamus(
            settings,
            rule_set,
            audit=Audit(settings, same=same),
            gestation=_gestation(settings, None, each=scanners.each),
            remembering=_remembering(settings, None, clock),
            clock=clock,
        )
        brain = Sophia(thalamus, clock=clock, scanners=scanners)
        brain.thalamus.use(intents)
        return brain
    store = Store(Path(path))
    try:
        if intents is None:
            intents = _kept_router(store)
        opening = _Opening(store, same, scanners)
        named = [str(rule.absolute()) for rule in rule_files]
        if store.crystalline:
            thalamus = opening.load(settings, rule_set, store.runs + 1, clock)  # which is not counted
        else:
            if waiting := store.pending():
                opening.learn(waiting, settings, rule_set, named)
            _let_go(store, settings, clock)
            thalamus = opening.load(settings, rule_set, store.begin_run(), clock)
        thalamus.use(intents)
        notes, ledger = opening.notes, opening.ledger
        journal = _journal(store, settings, clock, thalamus.hot_path.run, notes)
        return Sophia(thalamus, ledger, rule_files=named, notes=notes, clock=clock, scanners=scanners, journal=journal)
    except BaseException:
        store.close()
        raise


class _Opening:
    """A store from whose tables the organs are made. `notes` says what was damaged there, and starts anew."""

    def __init__(self, store: Store, same: Callable[[str, str], bool] | None, scanners: Scanners) -> None:
        self.store = store
        self._scanners = scanners
        self.ledger = Ledger(store)
        self.notes: list[str] = []
        self._same = same

    def learn(self, waiting: list[Pending], settings: Settings, rules: RuleSet, rule_files: list[str]) -> None:
        """Learns what the last process had told and not committed when it died: the same inputs, run and numbers.

        Done under its settings and rules, so that its answers are there when it is run again; under today's, should a
        file of them be gone or no longer be taken. Killed meanwhile it is done again: one commit ends it.
        """
        delivery = self.store.ack.before
        last = waiting[-1]
        if last.ends is not None and last.mark is None and delivery == Delivery():
            self.notes.append(
                f"how much of its last batch the last run had written cannot be read; its {len(last)} inputs count as "
                "not acknowledged and are forgotten"
            )
        then = _Then(waiting[0].at)
        try:
            its_settings = Settings().with_changes(**last.settings)
            its_rules = rules if last.rules == rule_files else RuleSet.load([Path(rule) for rule in last.rules])
            thalamus = self.load(its_settings, its_rules, last.run, then)
        except (ConfigError, TypeError):
            thalamus = self.load(settings, rules, last.run, then)
        for record in waiting:
            # One writer, in order: where a batch has begun, all before it had been written.
            count = len(record) if record is not last else record.acknowledged(delivery)
            then.at = record.at
            thalamus.route_batch(Columns(**record.head(count)), record.n)
        try:
            Journal(self.store.path).cut(last.run, last.n + count)
        except (OSError, StoreFailed) as error:
            self.notes.append(f"decisions that were not told stay in the journal of the store ({error})")
        self.store.commit(thalamus.take_changes())

    def load(self, settings: Settings, rules: RuleSet, run: int, clock: Callable[[], float]) -> Thalamus:
        """A Thalamus that knows what the store holds. The filter keeps the capacity and seed it was made with."""
        patterns = self._patterns(settings)
        kept, faults = self.store.derived(derived.NAMES)
        tables: dict[str, Any] = {}
        for name, (dump, _) in kept.items():
            tables[name] = None
            if dump is not None and name not in faults:
                try:
                    tables[name] = derived.load(name, dump, track_changes=CHANGE_LOG)
                except StoreCorrupt as error:
                    faults[name] = str(error)
        gestation = self._gestation(settings, patterns, tables.pop("words", None), tables.pop("drift", None), faults)
        thalamus = Thalamus(
            settings,
            rules,
            run=run,
            patterns=patterns,
            recall=self.ledger.answer,
            keep_changes=True,
            audit=self._audit(settings),
            remembering=_remembering(settings, self.store, clock),
            gestation=gestation,
            clock=clock,
            **tables,
        )
        for name, (_, log) in kept.items():
            if name in faults:
                continue
            try:
                for changes in log:
                    thalamus.replay(name, changes)
            except StoreCorrupt as error:
                faults[name] = str(error)
            if kept[name][0] is not None:
                thalamus.count_log(name, sum(map(len, log)))
        if faults:
            self._start_anew(thalamus, faults)
        self._load_tally(thalamus)
        if gestation.lost:
            self.notes.append(
                "the words that were counted before the brain's birth are lost: how rare an input's words are has no "
                "part in its complexity"
            )
        thalamus.take_changes()  # what was loaded is not news
        if not thalamus.frozen:
            self.store.purge(clock())
        if thalamus.cache is not None:
            answers, more = self.store.answers(thalamus.policy_version, clock(), settings.cache_entries // 2)
            thalamus.load_answers(answers, complete=not more)
        return thalamus

    def _patterns(self, settings: Settings) -> PatternTable:
        try:
            return PatternTable.restore(
                self.store.pattern_rows(), capacity=settings.pattern_capacity, masks=settings.mask != "none"
            )
        except StoreCorrupt as error:
            raise self.store.corrupt(error) from error

    def _gestation(
        self,
        settings: Settings,
        patterns: PatternTable,
        words: IdfTable | None,
        drift: DriftTable | None,
        faults: dict[str, str],
    ) -> Gestation:
        """As the store has it. A store of an older version has seen as many inputs as its patterns count."""
        kept: dict[str, Any] = {"words": words, "drift": drift, "each": self._scanners.each}
        try:
            state = self.store.meta("life")
            made = _gestation(settings, state, **kept)
        except StoreCorrupt as error:
            self.notes.append(f"the stage of life of the store is damaged and begins anew ({error})")
            faults |= dict.fromkeys(("words", "drift"), "it was counted for a stage of life that is damaged")
            return _gestation(settings, None, each=self._scanners.each)
        if state is None and not self.store.crystalline:
            made.skip(sum(pattern.count for pattern in patterns.patterns() if pattern.merged_into is None))
            self.store.set_meta("life", made.state())  # so that `sophia status` knows it before the first commit
        return made

    def _load_tally(self, thalamus: Thalamus) -> None:
        try:
            if (kept := self.store.meta("tally")) is not None:
                thalamus.load_tally(kept)
        except StoreCorrupt as error:
            self.notes.append(f"the counts of rules of the store are damaged and begin anew ({error})")

    def _audit(self, settings: Settings) -> Audit:
        """The audit as the store has it. Where that cannot be read, answers stay off: they may have been."""
        try:
            return Audit(settings, same=self._same, state=self.store.meta("audit"))
        except StoreCorrupt as error:
            self.notes.append(f"the audit of the store is damaged and starts anew, with answers off ({error})")
            audit = Audit(settings, same=self._same)
            audit.off = True
            return audit

    def _start_anew(self, thalamus: Thalamus, faults: dict[str, str]) -> None:
        """Puts the tables as they now are in the place of all; what a damaged one forgets is only thought about once
        more."""
        self.notes += [
            f"the {name} table of the store is damaged and starts anew ({fault})" for name, fault in faults.items()
        ]
        if thalamus.frozen:
            return
        self.store.replace_derived(thalamus.dumps())
        for name in derived.NAMES:
            thalamus.count_log(name, 0)


def _gestation(settings: Settings, state: str | None, **kept: Any) -> Gestation:
    needed: dict[str, Any] = {"inputs": settings.gestation_inputs, "seconds": settings.gestation_seconds}
    return Gestation(**needed, state=state, seed=settings.seed, **kept)


def _journal(
    store: Store, settings: Settings, clock: Callable[[], float], run: int, notes: list[str]
) -> Journal | None:
    """Where the records of decisions are kept, where that is wanted."""
    if not settings.journal or store.crystalline:
        return None
    journal = Journal(store.path, most=settings.journal, retention=settings.retention, clock=clock)
    try:
        last = journal.last()
        if last is not None and last[0] >= run:
            kept = set_aside(store.path)
            notes.append(f"the journal has runs that the store does not know; it begins anew, and is kept as {kept}")
    except (OSError, StoreFailed) as error:
        notes.append(f"the journal of the store cannot be read ({error})")
    return journal


def _remembering(settings: Settings, store: Store | None, clock: Callable[[], float]) -> Remembering | None:
    """What remembers and recalls, where that is wanted."""
    crystalline = store is not None and store.crystalline
    if crystalline:
        settings = settings.with_changes(remember="none")
    if settings.remember == "none" and not settings.recall:
        return None
    from sophia.organs.remembering import Nothing, Remembering

    dim = None if store is None else store.dim
    if dim is None:
        dim = _DIM
        if store is not None and not crystalline:
            store.set_meta("dim", str(dim))
    count = 0 if store is None else store.seen_memories()
    return Remembering(
        dim,
        clock,
        Nothing() if store is None else store,
        last=0 if store is None else store.last_memory,
        count=count,
        most=settings.memories if store is None else _most(store, settings),
        retention=settings.retention,
        times=store.seen_times() if store is not None and settings.retention else (),
        remembers=settings.remember == "new",
        recalls=settings.recall,
    )


def _most(store: Store, settings: Settings) -> int:
    """How many memories of inputs are kept."""
    if not settings.memory_disk:
        return settings.memories
    from sophia.organs.memory_keeping import fitting

    return min(settings.memories, max(1, fitting(settings.memory_disk, store.dim or _DIM, store.mean_text())))


def _let_go(store: Store, settings: Settings, clock: Callable[[], float]) -> None:
    """Lets go of memories of inputs that are over the bounds, which may have been others when they were made."""
    over = 0
    if settings.retention:
        earliest = round((clock() - settings.retention) * 1e6)
        over = sum(1 for _ in takewhile(lambda made: made < earliest, store.seen_times()))
    if settings.memory_disk:
        over = max(over, store.seen_memories() - _most(store, settings))
    if over > 0:
        store.let_go_seen(over)


class _Then:
    """A clock that stands, where what is learned once more was learned first."""

    def __init__(self, at: float) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


def _saved_router(path: str | os.PathLike[str]) -> Intents:
    from sophia.organs.intents import Intents

    return Intents.load(path)


def _kept_router(store: Store) -> Intents | None:
    """The router that was last fitted in the store, if any."""
    dump = store.router()
    if dump is None:
        return None
    from sophia.organs.intents import Intents

    try:
        return Intents.parse(dump, "its router of intents")
    except StoreCorrupt as error:
        raise store.corrupt(error) from error

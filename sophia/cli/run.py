"""`sophia run`: every input gets a decision, a record, and a place in the summary."""

from __future__ import annotations

import argparse
import glob
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from sophia.cli.progress import Progress
from sophia.errors import ConfigError

__all__ = ["command"]


def command(options: argparse.Namespace) -> int:
    """Reads the inputs, writes decisions.jsonl, patterns.jsonl and summary.json; the summary on stderr."""
    import sophia
    from sophia.stream.readers import read_batches
    from sophia.stream.run import run

    if not options.inputs and (sys.stdin is None or sys.stdin.isatty()):
        sys.stderr.write("usage: sophia run [INPUT ...]  (a file, a glob, or - for standard input)\n")
        return 2
    reader = read_batches(
        options.inputs, format=options.format, batch=options.batch, limit=options.limit, keep_going=True
    )
    _refuse_overwriting(options.inputs, options.out, options.store if not options.no_store else None)
    settings = sophia.Settings(cache=not options.no_cache)
    store = None if options.no_store else options.store
    with sophia.open(store, settings=settings, rules=options.rules) as brain:
        for note in brain.notes:
            sys.stderr.write(f"sophia: {note}\n")
        folder, out = _open_out(options.out)
        progress = Progress(quiet=options.quiet)
        workers = options.workers or os.cpu_count() or 1
        partial = folder / "patterns.jsonl.part"
        try:
            with partial.open("wb") as patterns:
                summary = run(reader, brain, out, patterns, workers=workers, watch=progress.show)
            partial.replace(folder / "patterns.jsonl")
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        finally:
            progress.clear()
            if out is not sys.stdout.buffer:
                out.close()
    totals = {
        "sophia": sophia.__version__,
        "policy_version": brain.policy_version,
        "inputs": reader.counts.as_dict(),
        **summary.as_dict(),
    }
    _write(folder / "summary.json", json.dumps(totals, indent=2) + "\n")
    progress.finish(summary, reader, folder, options.out)
    if summary.interrupted:
        return 130
    return 3 if reader.counts.errors else 0


def _refuse_overwriting(inputs: list[str], out: str | None, store: str | None) -> None:
    """An output that is an input would be emptied before it is read; one in the store would destroy it."""
    if out is None or out == "-":
        return
    if Path(out).name in ("patterns.jsonl", "summary.json") or (
        store is not None and Path(store).resolve() in Path(out).resolve().parents
    ):
        message = f"--out {out} is a file that sophia writes itself; give the decisions a name of their own"
        raise ConfigError(message)
    if not Path(out).exists():
        return
    for name in inputs:
        for path in [name, *glob.glob(name)]:  # noqa: PTH207 (the readers' own rule)
            if Path(path).is_file() and Path(path).samefile(out):
                message = f"--out {out} is an input ({path}); it would be overwritten before it is read"
                raise ConfigError(message)


def _open_out(name: str | None) -> tuple[Path, BinaryIO]:
    """The folder of the run, and where the decisions go."""
    if name is not None and name != "-":
        path = Path(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return path.parent, path.open("wb")
        except OSError as error:
            message = f"--out {name}: {error.strerror}; name a file in a folder that can be written"
            raise ConfigError(message) from error
    folder = _run_folder()
    return folder, sys.stdout.buffer if name == "-" else (folder / "decisions.jsonl").open("wb")


def _run_folder() -> Path:
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    for attempt in range(1, 1000):
        folder = Path("sophia-out") / (stamp if attempt == 1 else f"{stamp}-{attempt}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            message = f"the folder {folder} cannot be made ({error.strerror}); use --out FILE"
            raise ConfigError(message) from error
        return folder
    message = f"the folder sophia-out has 1000 runs of {stamp}; use --out FILE"
    raise ConfigError(message)


def _write(path: Path, text: str) -> None:
    """Replaces the file as a whole, so that a reader never sees half of it."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)

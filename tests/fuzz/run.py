"""Runs fuzz targets under libFuzzer: ``python run.py [--seconds N] [--jobs N] [TARGET ...]``.

For an installed sophia that clang has built with ``SOPHIA_SANITIZE=address,undefined,fuzzer-no-link``, and atheris
(tox environment `fuzz`): the fuzzer follows the coverage of the compiled core and of the Python around it, and
AddressSanitizer and UndefinedBehaviorSanitizer watch both. Each target goes on from what it found before, in
``build/fuzz/TARGET`` of the current folder. An input that breaks a target's property is written to
``build/fuzz/TARGET.found-...``, and the exit status is 1; ``python run.py --input FILE TARGET`` tries it again.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fuzz import targets

_DONE = re.compile(r"stat::number_of_executed_units: *(\d+)")
_COVERED = re.compile(r"cov: (\d+)")
_MOST_BYTES = 4096


def fuzz(name: str, seconds: int, folder: Path) -> tuple[bool, str]:
    """Whether the target held, and one line about it. Its output goes to ``TARGET.log``."""
    import atheris

    corpus = folder / name
    corpus.mkdir(parents=True, exist_ok=True)
    runtime = Path(atheris.path()) / "asan_with_fuzzer.so"
    environment = os.environ | {
        "LD_PRELOAD": str(runtime),
        "PYTHONMALLOC": "malloc",
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:handle_abort=1",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    }
    command = [sys.executable, "-P", str(Path(__file__).resolve()), "--libfuzzer", name, str(corpus)]
    command += [f"-max_total_time={seconds}", f"-max_len={_MOST_BYTES}", "-timeout=60", "-rss_limit_mb=4096"]
    command += ["-print_final_stats=1", "-verbosity=1", f"-artifact_prefix={folder / name}.found-"]
    log = folder / f"{name}.log"
    with log.open("wb") as out:
        status = subprocess.run(command, env=environment, stdout=out, stderr=out, check=False).returncode
    text = log.read_text(errors="replace")
    done, covered = _DONE.findall(text), _COVERED.findall(text)
    line = f"{name}: {int(done[-1]) if done else 0:,} executions, {covered[-1] if covered else 0} edges"
    return status == 0 and bool(done), line if status == 0 else f"{line}; FAILED with status {status}, see {log}"


def libfuzzer(name: str, arguments: list[str]) -> None:
    """The process of one target; never returns."""
    import atheris

    with atheris.instrument_imports(include=["sophia"]):
        target = targets.load(name)
    corpus = Path(arguments[0])
    for number, data in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(data)
    atheris.Setup([sys.argv[0], *arguments], target.check)
    atheris.Fuzz()


def main() -> int:
    if sys.argv[1:2] == ["--libfuzzer"]:
        libfuzzer(sys.argv[2], sys.argv[3:])
        return 1
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(targets.NAMES)}; all by default")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    parser.add_argument("--jobs", type=int, default=1, help="targets at a time (1)")
    parser.add_argument(
        "--folder", type=Path, default=Path("build") / "fuzz", help="where inputs are kept (build/fuzz)"
    )
    parser.add_argument("--input", type=Path, help="try the target with this file only, without the fuzzer")
    given = parser.parse_args()
    names = given.targets or list(targets.NAMES)
    for name in names:
        if name not in targets.NAMES:
            parser.error(f"no target {name!r}; there are {', '.join(targets.NAMES)}")
    if given.input is not None:
        for name in names:
            targets.load(name).check(given.input.read_bytes())
        return 0
    given.folder.mkdir(parents=True, exist_ok=True)
    good = True
    with ThreadPoolExecutor(given.jobs) as pool:
        for held, line in pool.map(lambda name: fuzz(name, given.seconds, given.folder), names):
            good &= held
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

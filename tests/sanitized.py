"""Runs the tests of the core under AddressSanitizer and UndefinedBehaviorSanitizer: ``python sanitized.py [ARGS]``.

For an installed sophia that was built with ``SOPHIA_SANITIZE=address,undefined`` (tox environment `asan`). First it
is shown that this run can fail: every compiled module is instrumented, and one fault of each kind, made on purpose
in native/seeded_faults.c, is reported. Then the tests run, and any report fails the run, also one from a process
that a test started. ARGS go to pytest; without any, the tests of the compiled core and of what stands on it run.

A leak counts when the core's C code asked for the memory: what the interpreter and numpy leave behind at exit is
theirs, and is the same few blocks after any run.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parent
SANITIZERS = "address,undefined"

FAULTS = {
    "past_the_end": "heap-buffer-overflow",
    "given_back": "heap-use-after-free",
    "rewound": "use-after-poison",
    "overflow": "signed integer overflow",
    "misaligned": "load of misaligned address",
    "leak": "Direct leak of 7 byte(s)",
}
LEAK = re.compile(r"(?:Direct|Indirect) leak of .*(?:\n +#\d.*)*")
OURS = re.compile(r"#1 .*(?:sophia|__pyx)")


def core() -> Path:
    """The folder of the compiled modules. They cannot be imported here: the runtime has to be there first."""
    found = importlib.util.find_spec("sophia")
    if found is None or found.origin is None:
        sys.exit("sophia is not installed")
    return Path(found.origin).parent / "_core"


def runtime(name: str) -> str:
    """The path of a sanitizer's runtime; it has to be loaded before the interpreter."""
    path = subprocess.run(
        [compiler(), f"-print-file-name={name}"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if not Path(path).is_absolute():
        sys.exit(f"{compiler()} has no {name}; install GCC with its sanitizers (Debian: gcc)")
    return path


def compiler() -> str:
    return os.environ.get("CC") or (sysconfig.get_config_var("CC") or "cc").split()[0]


def environment(reports: Path) -> dict[str, str]:
    """What fails cannot be overlooked, also where a test swallows the output of a process that it starts.

    AddressSanitizer writes each report into a file of its own. GCC's UndefinedBehaviorSanitizer cannot: it writes to
    standard error and aborts, which no test takes for success.
    """
    return os.environ | {
        "LD_PRELOAD": f"{runtime('libasan.so')} {runtime('libubsan.so')}",
        # pymalloc would hide overflows of Python's own objects inside its pools
        "PYTHONMALLOC": "malloc",
        "ASAN_OPTIONS": f"abort_on_error=1:detect_leaks=1:detect_stack_use_after_return=1:log_path={reports}/address",
        # Leaks are judged here, and must not change the exit status of a process that a test has started. (This
        # exit status is one for all sanitizers, so the others abort.)
        "LSAN_OPTIONS": "exitcode=0:print_suppressions=0",
        "UBSAN_OPTIONS": "abort_on_error=1:halt_on_error=1:print_stacktrace=1",
    }


def taken_reports(reports: Path) -> str:
    """What was reported since the last call, leaks of others left out."""
    found = []
    for file in sorted(reports.iterdir()):
        text = file.read_text(errors="replace")
        file.unlink()
        if "LeakSanitizer: detected memory leaks" in text:
            found += [leak for leak in LEAK.findall(text) if OURS.search(leak)]
        else:
            found.append(text)
    return "\n".join(found)


def check_modules() -> None:
    modules = sorted(core().glob("*.so"))
    if not modules:
        sys.exit(f"no compiled modules in {core()}")
    for module in modules:
        code = module.read_bytes()
        if b"__asan_init" not in code or b"__ubsan_handle" not in code:
            sys.exit(f"{module} is not instrumented; build it with SOPHIA_SANITIZE={SANITIZERS} (tox -e asan does)")


def check_faults(folder: Path, reports: Path) -> None:
    library = folder / "seeded_faults.so"
    command = [compiler(), "-shared", "-fPIC", "-g", "-O1", "-std=c11", "-D_POSIX_C_SOURCE=200809L", "-w"]
    command += [f"-fsanitize={SANITIZERS}", "-fno-sanitize-recover=all", f"-I{core() / 'include'}"]
    subprocess.run([*command, str(TESTS / "native" / "seeded_faults.c"), "-o", str(library)], check=True)
    for fault, words in FAULTS.items():
        code = f"import ctypes; ctypes.CDLL({str(library)!r}).sophia_fault_{fault}(7)"
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment(reports), stderr=subprocess.PIPE, text=True, check=False
        )
        report = taken_reports(reports) + done.stderr
        if words not in report or (done.returncode == 0 and fault != "leak"):
            sys.exit(
                f"the fault {fault!r}, made on purpose, was not reported as {words!r} "
                f"(status {done.returncode})\n{report}"
            )
    sys.stdout.write(f"{len(FAULTS)} faults made on purpose were reported\n")


def pytest(*arguments: str, env: dict[str, str]) -> int:
    # not the capture of file descriptors: a report must come through
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--capture=sys"]
    command += ["--timeout", "1200"]  # a sanitized test takes several times as long
    command += ["-c", str(TESTS.parent / "pyproject.toml"), "--rootdir", str(TESTS.parent), *arguments]
    sys.stdout.flush()
    return subprocess.run(command, env=env, check=False).returncode


def main() -> int:
    check_modules()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reports = folder / "reports"
        reports.mkdir()
        check_faults(folder, reports)
        arguments = sys.argv[1:]
        if not arguments:
            arguments = [str(TESTS / room) for room in ("unit", "property", "stress", "fuzz")]
            # What measures memory measures the sanitizer, and the emulator cannot start beside it. The lock-free parts
            # are searched by coroutines, which it warns of; thread_sanitized.py is for them.
            arguments += ["-m", "not slow and not memory", "-k", "not aarch64 and not lock_free"]
        status = pytest(*arguments, env=environment(reports))
        report = taken_reports(reports)
        sys.stdout.write(report or "no report\n")
        return status or bool(report)


if __name__ == "__main__":
    sys.exit(main())

"""The core without Python: the programs of tests/native, natively, under sanitizers, and for aarch64."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from programs import build, run

import sophia._core

pytestmark = pytest.mark.native

PROGRAMS = ("kernels_test", "reflex_test", "pages_test", "bits_test", "breaker_test", "workers_test")
# -O0: here it is the compiler that takes the time
SANITIZERS = ["-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
THREADS = ["-fsanitize=thread"]
AARCH64 = ("aarch64-linux-gnu-gcc", "qemu-aarch64")


def offered(compiler: str, flags: list[str], what: str, folder: Path) -> list[str]:
    """The flags, if a program can be built with them and runs."""
    probe = folder / "probe.c"
    probe.write_text("int main(void) { return 0; }\n")
    target = probe.with_suffix("")
    for command in ([compiler, *flags, str(probe), "-o", str(target)], [str(target)]):
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip(f"the compiler has no {what} runtime")
    return flags


@pytest.fixture(scope="module")
def sanitizers(compiler: str, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return offered(compiler, SANITIZERS, "AddressSanitizer", tmp_path_factory.mktemp("probe"))


@pytest.fixture(scope="module")
def thread_sanitizer(compiler: str, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return offered(compiler, THREADS, "ThreadSanitizer", tmp_path_factory.mktemp("probe"))


@pytest.fixture(scope="module")
def aarch64() -> str:
    """The cross compiler. Where aarch64 is what is to be tested (SOPHIA_AARCH64), its absence is an error."""
    for tool in AARCH64:
        if not shutil.which(tool):
            missing = f"{tool} is not installed (Debian: gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, qemu-user)"
            if os.environ.get("SOPHIA_AARCH64"):
                pytest.fail(missing)
            pytest.skip(missing)
    return AARCH64[0]


def levels_of(lines: list[str]) -> list[str]:
    """The SIMD levels that a program reports on, in their order."""
    return list(dict.fromkeys(line.split()[0] for line in lines))


def digests_of(lines: list[str]) -> dict[str, set[str]]:
    """What each part of the core answered, at whatever level."""
    found: dict[str, set[str]] = {}
    for line in lines:
        _, part, digest = line.split()
        found.setdefault(part, set()).add(digest)
    return found


@pytest.mark.parametrize("program", PROGRAMS)
def test_natively(program: str, compiler: str, programs: Path) -> None:
    lines = run(build(compiler, program, programs))
    assert lines == ["ok"] or levels_of(lines) == list(sophia._core.cpu.simd_levels())


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_memory_outside_its_buffers_is_touched(
    program: str, compiler: str, sanitizers: list[str], programs: Path
) -> None:
    assert run(build(compiler, program, programs, *sanitizers))


@pytest.mark.parametrize("program", PROGRAMS)
def test_on_aarch64_under_an_emulator(program: str, aarch64: str, programs: Path) -> None:
    lines = run(AARCH64[1], build(aarch64, program, programs, "-static"))
    assert lines == ["ok"] or levels_of(lines) == ["scalar", "neon"]


def test_threads_of_a_breaker_race_for_nothing(compiler: str, thread_sanitizer: list[str], programs: Path) -> None:
    assert run(build(compiler, "breaker_test", programs, *thread_sanitizer)) == ["ok"]


def test_a_probe_that_is_admitted_by_load_and_store_is_found(compiler: str, programs: Path) -> None:
    program = build(compiler, "breaker_test", programs, "-DSOPHIA_BUG_PROBE")
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "failed: exactly one probe\n")


def test_every_level_gives_the_same_bits(compiler: str, programs: Path) -> None:
    digests = digests_of(run(build(compiler, "bits_test", programs)))
    assert len(digests) == 13
    assert [part for part, answers in digests.items() if len(answers) > 1] == []


def test_aarch64_gives_the_same_bits(compiler: str, aarch64: str, programs: Path) -> None:
    here = digests_of(run(build(compiler, "bits_test", programs)))
    assert digests_of(run(AARCH64[1], build(aarch64, "bits_test", programs, "-static"))) == here

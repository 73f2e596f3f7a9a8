"""The core without Python: the programs of tests/native, natively, under sanitizers, and for aarch64."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

import sophia._core

PROGRAMS = ("kernels_test", "reflex_test", "pages_test", "bits_test")
SOURCES = Path(__file__).parent.parent / "native"
HEADERS = Path(sophia._core.__file__).parent / "include"
FLAGS = ["-std=c11", "-O1", "-g", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function"]
FLAGS += ["-D_POSIX_C_SOURCE=200809L"]
# -O0: here it is the compiler that takes the time
SANITIZERS = ["-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
AARCH64 = ("aarch64-linux-gnu-gcc", "qemu-aarch64")


@pytest.fixture(scope="module")
def compiler() -> str:
    name = os.environ.get("CC") or (sysconfig.get_config_var("CC") or "cc").split()[0]
    if not shutil.which(name):
        pytest.skip(f"no C compiler ({name})")
    return name


@pytest.fixture(scope="module")
def sanitizers(compiler: str, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    probe = tmp_path_factory.mktemp("probe") / "probe.c"
    probe.write_text("int main(void) { return 0; }\n")
    command = [compiler, *SANITIZERS, str(probe), "-o", str(probe.with_suffix(""))]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("the compiler has no AddressSanitizer runtime")
    return SANITIZERS


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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("programs")


def build(compiler: str, program: str, folder: Path, *extra: str) -> Path:
    """Each program is built once for each compiler and set of flags."""
    target = folder / f"{program}{''.join(extra)}-{Path(compiler).name}".replace("=", "-").replace(",", "-")
    if target.exists():
        return target
    command = [compiler, *FLAGS, *extra, f"-I{HEADERS}", str(SOURCES / f"{program}.c"), "-o", str(target), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


def run(*command: str | Path) -> list[str]:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


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
def test_natively(program: str, compiler: str, folder: Path) -> None:
    lines = run(build(compiler, program, folder))
    assert lines == ["ok"] or levels_of(lines) == list(sophia._core.cpu.simd_levels())


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_memory_outside_its_buffers_is_touched(
    program: str, compiler: str, sanitizers: list[str], folder: Path
) -> None:
    assert run(build(compiler, program, folder, *sanitizers))


@pytest.mark.parametrize("program", PROGRAMS)
def test_on_aarch64_under_an_emulator(program: str, aarch64: str, folder: Path) -> None:
    lines = run(AARCH64[1], build(aarch64, program, folder, "-static"))
    assert lines == ["ok"] or levels_of(lines) == ["scalar", "neon"]


def test_every_level_gives_the_same_bits(compiler: str, folder: Path) -> None:
    digests = digests_of(run(build(compiler, "bits_test", folder)))
    assert len(digests) == 13
    assert [part for part, answers in digests.items() if len(answers) > 1] == []


def test_aarch64_gives_the_same_bits(compiler: str, aarch64: str, folder: Path) -> None:
    here = digests_of(run(build(compiler, "bits_test", folder)))
    assert digests_of(run(AARCH64[1], build(aarch64, "bits_test", folder, "-static"))) == here

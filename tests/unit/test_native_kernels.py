"""The kernels without Python: tests/native/kernels_test.c, natively, under sanitizers, and for aarch64."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

import sophia._core

SOURCE = Path(__file__).parent.parent / "native" / "kernels_test.c"
HEADERS = Path(sophia._core.__file__).parent / "include"
FLAGS = ["-std=c11", "-O2", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function"]
FLAGS += ["-D_POSIX_C_SOURCE=200809L"]


def build(compiler: str, target: Path, *extra: str) -> None:
    command = [compiler, *FLAGS, *extra, f"-I{HEADERS}", str(SOURCE), "-o", str(target), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def run(*command: str | Path) -> list[str]:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def compiler() -> str:
    name = os.environ.get("CC") or (sysconfig.get_config_var("CC") or "cc").split()[0]
    if not shutil.which(name):
        pytest.skip(f"no C compiler ({name})")
    return name


def test_every_level_against_naive_loops(tmp_path: Path) -> None:
    build(compiler(), tmp_path / "kernels")
    lines = run(tmp_path / "kernels")
    assert lines == [f"{level} ok" for level in sophia._core.cpu.simd_levels()]


def test_no_kernel_touches_memory_outside_its_buffers(tmp_path: Path) -> None:
    probe = tmp_path / "probe.c"
    probe.write_text("int main(void) { return 0; }\n")
    sanitized = [compiler(), "-fsanitize=address,undefined", str(probe), "-o", str(tmp_path / "probe")]
    if subprocess.run(sanitized, capture_output=True, check=False).returncode:
        pytest.skip("the compiler has no AddressSanitizer runtime")
    build(compiler(), tmp_path / "kernels", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g")
    assert run(tmp_path / "kernels")


def test_neon_under_an_emulator(tmp_path: Path) -> None:
    for tool in ("aarch64-linux-gnu-gcc", "qemu-aarch64"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    build("aarch64-linux-gnu-gcc", tmp_path / "kernels", "-static")
    assert run("qemu-aarch64", tmp_path / "kernels") == ["scalar ok", "neon ok"]

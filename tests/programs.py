"""The C programs of tests/native: how they are built and run, for tests and for the scripts beside this file."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from pathlib import Path

import sophia._core

SOURCES = Path(__file__).parent / "native"
HEADERS = Path(sophia._core.__file__).parent / "include"
FLAGS = ["-std=c11", "-O1", "-g", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function"]
FLAGS += ["-D_POSIX_C_SOURCE=200809L"]


def compiler_name() -> str:
    return os.environ.get("CC") or (sysconfig.get_config_var("CC") or "cc").split()[0]


def build(compiler: str, program: str, folder: Path, *extra: str) -> Path:
    """Each program is built once for each compiler and set of flags."""
    target = folder / f"{program}{''.join(extra)}-{Path(compiler).name}".replace("=", "-").replace(",", "-")
    if target.exists():
        return target
    command = [compiler, *FLAGS, *extra, f"-I{HEADERS}", f"-I{SOURCES}", str(SOURCES / f"{program}.c")]
    done = subprocess.run(
        [*command, "-o", str(target), "-lm", "-lpthread"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return target


def run(*command: str | Path) -> list[str]:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def shared(compiler: str, name: str, folder: Path) -> Path:
    """A library to be loaded before a program (LD_PRELOAD), built of one of the C files."""
    target = folder / f"{name}.so"
    if not target.exists():
        command = [compiler, "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
        command += [str(SOURCES / f"{name}.c"), "-o", str(target)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return target

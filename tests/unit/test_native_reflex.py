"""Cache and filter without Python: tests/native/reflex_test.c, plain and under sanitizers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

import sophia._core

SOURCE = Path(__file__).parent.parent / "native" / "reflex_test.c"
HEADERS = Path(sophia._core.__file__).parent / "include"
FLAGS = ["-std=c11", "-O2", "-g", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function"]
FLAGS += ["-D_POSIX_C_SOURCE=200809L"]


@pytest.mark.parametrize("sanitizers", [(), ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")])
def test_cache_and_filter(tmp_path: Path, sanitizers: tuple[str, ...]) -> None:
    compiler = os.environ.get("CC") or (sysconfig.get_config_var("CC") or "cc").split()[0]
    if not shutil.which(compiler):
        pytest.skip(f"no C compiler ({compiler})")
    probe = tmp_path / "probe.c"
    probe.write_text("int main(void) { return 0; }\n")
    made = subprocess.run([compiler, *sanitizers, probe, "-o", tmp_path / "probe"], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("the compiler has no AddressSanitizer runtime")
    command = [compiler, *FLAGS, *sanitizers, f"-I{HEADERS}", SOURCE, "-o", tmp_path / "test"]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    done = subprocess.run([tmp_path / "test"], capture_output=True, text=True, check=False)
    assert done.stdout == "ok\n", done.stdout + done.stderr

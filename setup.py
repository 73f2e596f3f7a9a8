"""The compiled extensions of sophia; everything else is in pyproject.toml.

Switches, all read from the environment:
  SOPHIA_DEBUG=1               bounds checks, assertions, debug symbols
  SOPHIA_SANITIZE=address,...  build with -fsanitize=... (address,undefined or thread; clang also fuzzer-no-link)
  SOPHIA_ANNOTATE=1            write Cython's annotated HTML beside the generated C
  SOPHIA_CYTHON_COVERAGE=1     line tracing, so that coverage sees .pyx files
"""

import os
import re
import sys
from pathlib import Path

from setuptools import Extension, setup

if sys.platform == "win32":
    sys.exit(
        "sophia-hlb does not support Windows: its core uses POSIX memory mapping, file locks "
        "and GCC/clang vector attributes. Use Linux, macOS or WSL."
    )

from Cython.Build import cythonize

ROOT = Path(__file__).parent
CORE = Path("sophia") / "_core"


def switch(name: str) -> bool:
    return os.environ.get(name, "") not in ("", "0")


debug = switch("SOPHIA_DEBUG")
sanitize = os.environ.get("SOPHIA_SANITIZE", "")
coverage = switch("SOPHIA_CYTHON_COVERAGE")

# One lane order and no fused multiply-add: every SIMD level gives the same bits.
compile_args = ["-std=c11", "-O3", "-ffp-contract=off", "-fno-strict-aliasing", "-Wall"]
compile_args += ["-Wno-unused-function", "-Wno-unreachable-code"]
compile_args += ["-g", "-DSOPHIA_DEBUG=1", "-O1"] if debug else []
if sanitize:
    compile_args += [f"-fsanitize={sanitize}", "-fno-sanitize-recover=all", "-g", "-O1", "-fno-omit-frame-pointer"]
compile_args += [] if debug or sanitize else ["-g0"]
# A fuzzer brings the runtime of the sanitizers with it.
link_args = [f"-fsanitize={sanitize}"] if sanitize and "fuzzer" not in sanitize else []
macros = [("CYTHON_TRACE", "1"), ("CYTHON_TRACE_NOGIL", "1")] if coverage else []

sources = sorted((ROOT / CORE).glob("*.pyx"))


def headers_of(source: Path) -> list[str]:
    """The C headers that a module includes, directly, through a header, or through a module that it knows."""
    found: set[Path] = set()
    waiting = [source, source.with_suffix(".pxd")]
    while waiting:
        file = waiting.pop()
        if file in found or not file.exists():
            continue
        found.add(file)
        text = file.read_text(encoding="utf-8")
        waiting += [file.parent / name for name in re.findall(r'^#include "([\w.]+)"', text, re.M)]
        waiting += [ROOT / CORE / "include" / name for name in re.findall(r'extern from "([\w.]+)"', text)]
        waiting += [ROOT / CORE / f"{name}.pxd" for name in re.findall(r"from sophia\._core\.(\w+) cimport", text)]
    return sorted(str(file.relative_to(ROOT)) for file in found if file.suffix == ".h")


extensions = [
    Extension(
        f"sophia._core.{source.stem}",
        [str(CORE / source.name)],
        include_dirs=[str(CORE / "include")],
        depends=headers_of(source),
        define_macros=macros,
        extra_compile_args=compile_args,
        extra_link_args=link_args,
    )
    for source in sources
]

jobs = os.cpu_count() or 1
setup(
    ext_modules=cythonize(
        extensions,
        build_dir="build/cython",
        nthreads=0 if sys.platform == "darwin" else jobs,
        annotate=switch("SOPHIA_ANNOTATE"),
        compiler_directives={
            "language_level": "3",
            "embedsignature": True,
            "embedsignature.format": "python",
            "boundscheck": True,
            "linetrace": coverage,
        },
    ),
    options={"build_ext": {"parallel": jobs}},
)

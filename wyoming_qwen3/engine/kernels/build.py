"""Compiles the kernels: one library for each kind of processor, named after the kind and a hash of the sources.

Knows compilers and files; does NOT know what the kernels do.
"""

import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from wyoming_qwen3.core.errors import EngineFailed
from wyoming_qwen3.engine.drafts import replaced

_SOURCES = Path(__file__).parent
_MAIN = "kernels.cpp"
_COMPILERS = ("c++", "g++", "clang++")
# No contraction and no reordering of operations: a row must not depend on the rows beside it.
_FLAGS = (
    "-std=c++17 -O3 -ffp-contract=off -fno-math-errno -fno-trapping-math -fvisibility=hidden -shared -fPIC -pthread"
)


@dataclass(frozen=True)
class ProcessorKind:
    """A kind of processor: the compiler flags for it, and the features in /proc/cpuinfo that it needs."""

    name: str
    flags: str
    needs: frozenset[str]


_AVX512_FLAGS = "-mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mfma"
_AVX512 = frozenset({"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni", "fma"})

_X86 = (
    ProcessorKind(
        "amx",
        f"{_AVX512_FLAGS} -mavx512bf16 -mamx-tile -mamx-bf16",
        _AVX512 | {"avx512_bf16", "amx_tile", "amx_bf16"},
    ),
    ProcessorKind("avx512vnni", _AVX512_FLAGS, _AVX512),
    ProcessorKind("avxvnni", "-mavx2 -mfma -mavxvnni", frozenset({"avx2", "fma", "avx_vnni"})),
    ProcessorKind("avx2", "-mavx2 -mfma", frozenset({"avx2", "fma"})),
    ProcessorKind("sse41", "-msse4.1", frozenset({"ssse3", "sse4_1"})),
)
_ARM = (ProcessorKind("dotprod", "-march=armv8.2-a+dotprod", frozenset({"asimddp"})),)
_PLAIN = ProcessorKind("plain", "", frozenset())

FAMILIES: Mapping[str, tuple[ProcessorKind, ...]] = MappingProxyType(
    {"x86_64": (*_X86, _PLAIN), "aarch64": (*_ARM, _PLAIN)}
)
"""Kinds by `platform.machine()`, the fastest first."""


def fitting(kinds: tuple[ProcessorKind, ...], features: frozenset[str]) -> tuple[ProcessorKind, ...]:
    """Return the kinds that a processor with these features can run."""
    return tuple(kind for kind in kinds if kind.needs <= features)


def kinds_here() -> tuple[ProcessorKind, ...]:
    """Return the kinds that this processor can run, the fastest first."""
    return fitting(FAMILIES.get(platform.machine(), (_PLAIN,)), _features())


def library_file(kind: ProcessorKind, folder: Path = _SOURCES) -> Path:
    """Return the path of a kind's library for the current sources, whether or not it is compiled."""
    digest = hashlib.sha256(_FLAGS.encode())
    for source in sorted((*_SOURCES.glob("*.cpp"), *_SOURCES.glob("*.h"))):
        digest.update(source.read_bytes())
    return folder / f"{kind.name}-{digest.hexdigest()[:12]}.so"


def build(tell: Callable[[str], None], folder: Path = _SOURCES) -> None:
    """Compile the missing libraries for this machine's family, and remove those of other sources.

    Raises EngineFailed if there is no compiler, or if it fails.
    """
    wanted = {kind: library_file(kind, folder) for kind in FAMILIES.get(platform.machine(), (_PLAIN,))}
    missing = {kind: file for kind, file in wanted.items() if not file.exists()}
    if missing:
        compiler = find_compiler()
        tell(f"Compiling the CPU kernels ({', '.join(kind.name for kind in missing)})")
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda kind: compile_kind(kind, missing[kind], compiler), missing))
    for old in set(folder.glob("*-*.so")) - set(wanted.values()):
        old.unlink()


def find_compiler() -> str:
    """Return the path of a C++ compiler. Raises EngineFailed if there is none."""
    compiler = next((found for name in _COMPILERS if (found := shutil.which(name))), None)
    if compiler is None:
        raise EngineFailed(
            "There is no C++ compiler for the CPU kernels. Install one, for example with apt-get install g++."
        )
    return compiler


def compile_kind(kind: ProcessorKind, file: Path, compiler: str, flags: str = "", sources: Path = _SOURCES) -> None:
    """Compile the library of one kind; `flags` follow its own. Raises EngineFailed if that fails."""
    with replaced(file) as draft:
        command = [compiler, *f"{_FLAGS} {kind.flags} {flags}".split(), str(sources / _MAIN), "-o", str(draft)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise EngineFailed(f"The CPU kernels can't be compiled for {kind.name}:\n{done.stderr.strip()}")


def _features() -> frozenset[str]:
    """Return the processor's features from /proc/cpuinfo; empty if it can't be read."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    found = [line.partition(":")[2] for line in lines if line.startswith(("flags", "Features"))]
    return frozenset(found[0].split()) if found else frozenset()

"""The kernels' tests on kernels that watch themselves: for memory, for undefined behaviour and for races.

That each would notice is shown by a fault that is planted in a copy of the sources.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from wyoming_qwen3.engine.kernels import build as kernels_build
from wyoming_qwen3.engine.kernels.build import compile_kind, find_compiler, kinds_here

ROOT = Path(__file__).parents[3]
SOURCES = Path(kernels_build.__file__).parent
CALLS = (
    *("tests/engine/kernels/test_kernels.py", "tests/engine/codec/test_decoder.py"),
    *("-k", "products or widest or zeros or kernels_give or last_bit"),
)
"""Products, and all of the codec's; the next are the talker and the predictor."""

SPEECH = ("tests/engine/lm/test_cpu_kernels.py", "-k", "states_are_those or rows_that_join and custom_voice")


@dataclass(frozen=True)
class Sanitizer:
    """One of the compiler's, and a fault that it must report: in `file`, `before` becomes `after`."""

    name: str
    runtime: str
    report: str
    file: str
    before: str
    after: str
    options: dict[str, str] = field(default_factory=dict)
    flags: str = ""


SANITIZERS = (
    Sanitizer(
        "address",
        "libasan.so",
        "heap-buffer-overflow",
        "kernels.cpp",
        "std::copy_n(out, std::min(kBlock, layer->outputs - first),",
        "std::copy_n(out, kBlock,",
        {"ASAN_OPTIONS": "detect_leaks=0"},  # Python keeps much to its end
    ),
    Sanitizer(
        "undefined",
        "libubsan.so",
        "signed integer overflow",
        "linear.h",
        "inline int padded(int n) { return",
        "inline int padded(int n) { n += 2147483647; n -= 2147483647; return",
        flags="-fno-sanitize-recover=undefined",
    ),
    Sanitizer(
        "thread",
        "libtsan.so",
        "data race",
        "stack.h",
        "        member.wait();\n        for (int t = quantised.begin",
        "        for (int t = quantised.begin",
        {"TSAN_OPTIONS": "report_signal_unsafe=0"},
    ),
)


@pytest.fixture(params=SANITIZERS, ids=lambda sanitizer: sanitizer.name)
def sanitizer(request: pytest.FixtureRequest) -> Sanitizer:
    chosen: Sanitizer = request.param
    return chosen


def watched(
    sanitizer: Sanitizer, folder: Path, *tests: str, sources: Path = SOURCES
) -> subprocess.CompletedProcess[str]:
    """Run tests over kernels that are compiled with a sanitizer, of each kind that can run here."""
    compiler = find_compiler()
    for kind in kinds_here():
        flags = f"-O1 -g -fsanitize={sanitizer.name} {sanitizer.flags}"
        compile_kind(kind, folder / f"{kind.name}.so", compiler, flags, sources)
    found = subprocess.run(
        [compiler, f"-print-file-name={sanitizer.runtime}"], capture_output=True, text=True, check=True
    )
    environment = os.environ | sanitizer.options | {"KERNELS": str(folder), "LD_PRELOAD": found.stdout.strip()}
    # The runtimes want their shadow where a randomized address space may lie.
    command = ["setarch", "-R", sys.executable, "-m", "pytest", "-q", "-n0", "-x", "--capture=no", "-m", ""]
    command += ["-p", "no:cacheprovider", "-p", "tests.engine.kernels.other_kernels", *tests]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("tests", [CALLS, SPEECH], ids=["calls", "speech"])
def test_no_fault_is_found(tmp_path: Path, sanitizer: Sanitizer, tests: tuple[str, ...]) -> None:
    done = watched(sanitizer, tmp_path, *tests)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert " passed" in done.stdout
    assert "WARNING: ThreadSanitizer" not in said, said


def test_a_planted_fault_is_found(tmp_path: Path, sanitizer: Sanitizer) -> None:
    sources = tmp_path / "sources"
    shutil.copytree(SOURCES, sources, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    text = (sources / sanitizer.file).read_text()
    assert text.count(sanitizer.before) == 1
    (sources / sanitizer.file).write_text(text.replace(sanitizer.before, sanitizer.after))
    tests = SPEECH if sanitizer.name == "thread" else CALLS
    done = watched(sanitizer, tmp_path, *tests, sources=sources)
    assert sanitizer.report in done.stdout + done.stderr
    assert done.returncode != 0

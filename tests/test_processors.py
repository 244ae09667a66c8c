"""The tests of numbers and sound as other processors compute: `script/test --processors`.

Each library is told to compute as an older processor would; what this one lacks they leave out by themselves. Every
value of each setting comes up once or more, not every combination of them.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("tests/engine", "tests/audio", "tests/store")
SETTINGS: tuple[dict[str, str], ...] = (
    {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_CBWR": "COMPATIBLE", "OMP_NUM_THREADS": "1"},
    {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2", "OMP_NUM_THREADS": "2"},
    {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "OMP_NUM_THREADS": "2"},
    {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "AVX2", "OMP_NUM_THREADS": "2"},
)
SET = {name for settings in SETTINGS for name in settings}


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: " ".join(map("=".join, settings.items())))
def test_results_hold_on_other_processors(settings: dict[str, str]) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in SET} | settings
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "2" if settings["OMP_NUM_THREADS"] == "1" else "1",  # threads that wait for each other's processors crawl
        "--dist",
        "loadfile",
        "-p",
        "no:cacheprovider",
        *FOLDERS,
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    print(done.stdout.splitlines()[-1] if done.stdout else "")
    assert done.returncode == 0, done.stdout + done.stderr

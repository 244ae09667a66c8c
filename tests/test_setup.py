"""script/setup in a small copy of the project, with a PyTorch of one file; and the wheel that is built of sources."""

import ctypes
import importlib.machinery
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from wyoming_qwen3.engine.kernels.build import FAMILIES, kinds_here, library_file

ROOT = Path(__file__).parent.parent
BACKEND = """
import zipfile

def build_editable(folder, *_):
    name = "wyoming_qwen3-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        info = "wyoming_qwen3-0.1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: wyoming-qwen3\\nVersion: 0.1.0\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return name
"""
"""Builds the project in place of setuptools, which would have to be downloaded."""

NO_COMPILER = "There is no C++ compiler for the CPU kernels. Install one, for example with apt-get install g++.\n"
GPU = "There is an NVIDIA GPU, but this PyTorch is only for CPUs: script/setup --cuda installs the one for GPUs.\n"


def copy_sources(folder: Path) -> None:
    """The whole package as the builds find it, without what was compiled here."""
    shutil.copytree(
        ROOT / "wyoming_qwen3", folder / "wyoming_qwen3", ignore=shutil.ignore_patterns("*.so", "__pycache__")
    )
    shutil.copy(ROOT / "setup.cfg", folder)


def program(folder: Path, name: str, script: str = "") -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


class Project:
    """A copy to be set up, where programs are found in `bin` alone, and packages in `wheels`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bin, self.wheels = folder, folder / "bin", folder / "wheels"
        self.venv = folder / ".venv"
        copy_sources(folder)
        (folder / "script").mkdir()
        shutil.copy(ROOT / "script/setup", folder / "script/setup")
        (folder / "constraints.txt").write_text("torch==2.13.0\n")
        (folder / "backend.py").write_text(BACKEND)
        (folder / "pyproject.toml").write_text(
            '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        )
        self.wheels.mkdir()
        self.offer_torch("cpu", "None")

    def offer_torch(self, local: str, cuda: str) -> None:
        info = f"torch-2.13.0+{local}.dist-info"
        with zipfile.ZipFile(self.wheels / f"torch-2.13.0+{local}-py3-none-any.whl", "w") as wheel:
            wheel.writestr("torch/version.py", f"from typing import Optional\ncuda: Optional[str] = {cuda}\n")
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: torch\nVersion: 2.13.0+{local}\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")

    def set_up(self, *options: str, **variables: str) -> str:
        """What script/setup says, all of it on standard error."""
        command = [sys.executable, str(self.folder / "script/setup"), *options]
        pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels), "PIP_CONFIG_FILE": os.devnull}
        given = {"PATH": str(self.bin), "HTTPS_PROXY": "http://127.0.0.1:9", **pip, **variables}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | given)
        assert done.stdout == ""
        self.code = done.returncode
        return done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("setup_script", str(ROOT / "script/setup"))
    spec = importlib.util.spec_from_loader("setup_script", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_a_half_made_environment_is_made_anew_and_a_gpu_that_came_later_is_noticed(project: Project) -> None:
    venv.create(project.venv)  # what Debian leaves behind where python3-venv is missing
    said = project.set_up()
    steps = (
        "Recreating .venv",
        NO_COMPILER,
        "Installing PyTorch",
        "torch-2.13.0+cpu-py3-none-any.whl",
        "Setup is complete",
    )
    assert sorted(steps, key=said.index) == list(steps), said
    assert project.code == 0

    program(project.bin, "nvidia-smi")
    again = project.set_up()
    assert again.startswith(NO_COMPILER)
    assert again.endswith(GPU)
    assert "Installing" not in again

    assert project.set_up("--cuda").endswith("The only PyTorch that pip finds here is for CPUs.\n")
    assert project.code == 1
    project.offer_torch("cu130", "'13.0'")
    assert "torch-2.13.0+cu130" in project.set_up("--cuda")
    assert project.code == 0
    assert "PyTorch" not in project.set_up()
    (project.bin / "nvidia-smi").unlink()
    assert "PyTorch" not in project.set_up("--cuda")


def test_a_missing_part_of_python_is_named_by_its_package(project: Project) -> None:
    (project.folder / "sitecustomize.py").write_text("import sys\nsys.modules['ensurepip'] = None\n")
    said = project.set_up(PYTHONPATH=str(project.folder))
    install = f"apt-get install python3.{sys.version_info.minor}-venv"
    assert said == f"Python's venv module is incomplete: run {install}, then run this again.\n"
    assert project.code == 1
    assert not project.venv.exists()


def test_an_environment_that_was_cut_short_or_lost_its_python_is_not_whole(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "PYTHON", python := tmp_path / "bin/python")
    assert not script.whole()
    venv.create(tmp_path)
    assert not script.whole()
    pip = next(tmp_path.glob("lib/python*/site-packages")) / "pip-26.3.dist-info"
    pip.mkdir()
    (pip / "METADATA").write_text("Name: pip\nVersion: 26.3\n")
    assert not script.whole()
    (pip / "INSTALLER").write_text("pip\n")
    assert script.whole()
    python.unlink()
    python.symlink_to(tmp_path / "gone")
    assert not script.whole()


@pytest.mark.parametrize(
    ("python", "said"),
    [
        ((3, 10), "Python 3.10 is not supported; use 3.11 to 3.14."),
        ((3, 11), None),
        ((3, 14), None),
        ((3, 15), "Python 3.15 is not supported; use 3.11 to 3.14."),
    ],
)
def test_a_python_without_the_pinned_packages_is_refused(
    script: ModuleType, python: tuple[int, int], said: str | None
) -> None:
    assert script.refusal(python) == said


def test_the_classifiers_are_the_pythons_that_are_taken(script: ModuleType) -> None:
    listed = re.findall(r"Python :: 3\.(\d+)", (ROOT / "setup.cfg").read_text())
    assert [int(minor) for minor in listed] == [minor for minor in range(30) if script.refusal((3, minor)) is None]


def build_wheel(folder: Path, path: str) -> tuple[Path, str]:
    """Build the sources into a wheel; returns it and what was said meanwhile."""
    project = folder / "project"
    project.mkdir()
    copy_sources(project)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, project)
    command = [sys.executable, "-m", "pip", "wheel", "--verbose", "--no-build-isolation", "--no-deps"]
    done = subprocess.run(
        [*command, "--wheel-dir", str(folder), str(project)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env=os.environ | {"PATH": path},
    )
    assert done.returncode == 0, done.stdout
    return next(folder.glob("*.whl")), done.stdout


def libraries(wheel: Path) -> set[str]:
    return {Path(name).name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".so")}


def test_a_wheel_without_a_compiler_has_no_kernels_and_says_so(tmp_path: Path) -> None:
    wheel, said = build_wheel(tmp_path, path=str(tmp_path))
    assert wheel.name.endswith("-py3-none-any.whl")
    assert libraries(wheel) == set()
    assert NO_COMPILER.strip() in said


def test_a_wheel_with_kernels_is_named_after_its_platform(tmp_path: Path) -> None:
    """The compiler is a stand-in: it only writes the file that it is asked for."""
    program(tmp_path / "bin", "c++", 'for file; do :; done; echo compiled > "$file"')
    wheel, _ = build_wheel(tmp_path, path=str(tmp_path / "bin"))
    machine = os.uname().machine
    assert wheel.name.endswith(f"-py3-none-linux_{machine}.whl")
    assert libraries(wheel) == {library_file(kind).name for kind in FAMILIES[machine]}


@pytest.mark.slow
def test_the_kernels_of_a_wheel_run_here(tmp_path: Path) -> None:
    wheel, _ = build_wheel(tmp_path, path=os.environ["PATH"])
    fastest = kinds_here()[0]
    name = f"wyoming_qwen3/engine/kernels/{library_file(fastest).name}"
    library = ctypes.CDLL(zipfile.ZipFile(wheel).extract(name, tmp_path))
    library.kind.restype = ctypes.c_char_p
    assert library.kind() == fastest.name.encode()

"""vLLM-Omni's models of what it takes, from its wheel: one file of it, which needs pydantic and numpy alone.

Downloaded once, without what the wheel depends on, into a folder that git ignores.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

VERSION = "0.30.0"
_MEMBER = "vllm_omni/entrypoints/openai/protocol/audio.py"
_FILE = Path(__file__).parent.parent.parent / ".cache" / f"vllm_omni-{VERSION}" / "protocol_audio.py"


def protocol() -> ModuleType:
    """The module `protocol/audio.py`. Skips the test where it can't be had."""
    if not _FILE.exists():
        _download()
    spec = importlib.util.spec_from_file_location("vllm_omni_protocol_audio", _FILE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    with warnings.catch_warnings(action="ignore"):  # of what pydantic will no longer take
        spec.loader.exec_module(module)
    return module


def _download() -> None:
    _FILE.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_FILE.parent) as folder:
        wanted = f"vllm-omni=={VERSION}"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, wanted]
        if subprocess.run(command, check=False).returncode:
            pytest.skip(f"{wanted} can't be downloaded, so nothing can be held against its models")
        (wheel,) = Path(folder).glob("*.whl")
        part = Path(folder) / _FILE.name
        part.write_bytes(zipfile.ZipFile(wheel).read(_MEMBER))
        os.replace(part, _FILE)  # noqa: PTH105  two test processes may do this at once

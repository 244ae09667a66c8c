"""The house's rules on imports, held by reading the source."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROOT = TESTS.parent
PACKAGE = ROOT / "wyoming_qwen3"

# From the bottom up. A room may import from the rows below its own, and rooms in one row not from each other.
ROWS: tuple[tuple[str, ...], ...] = (
    ("errors", "checkpoints"),
    ("voices", "effects", "hardware", "convert", "playback"),
    ("request",),
    ("start", "text_feed"),
    (
        *("settings", "defaults", "admission", "engine", "text", "audio", "store", "metrics", "report", "logs"),
        *("events", "messages"),
    ),
    ("worker", "door", "patience", "bench", "casting", "recall", "drop", "remote", "supervisor"),
    ("cloning", "models", "engaged", "tts_cache"),
    ("standby",),
    ("engines",),
    ("lineup",),
    ("speech",),
    ("batch", "conversation", "design"),
    ("handler", "info", "discovery", "say", "api"),
    ("wiring",),
    ("__main__",),
)
WITHIN_A_ROW = {("handler", "info")}

HOMES = {
    "aiohttp": {"api", "bench", "remote", "supervisor"},
    "av": {"audio"},
    "PIL": {"bench"},
    "prometheus_client": {"metrics"},
    "pydantic": {"api"},
    "tokenizers": {"engine", "bench"},
    "torch": {"engine", "bench"},
    "transformers": {"engine", "bench"},
    "qwen_tts": {"engine", "bench"},
    "faster_qwen3_tts": {"bench"},
    "safetensors": {"bench", "engine", "store"},
    "sqlite3": {"store"},
    "soundfile": {"store"},
    "pedalboard": {"audio"},
    "pyloudnorm": {"audio"},
    "huggingface_hub": {"engine"},
    "hibari": {"engine"},
    "wyoming": {"handler", "events", "messages", "info", "__main__", "bench"},
    "zeroconf": {"discovery"},
    "subprocess": {"worker", "hardware", "say", "engine", "bench"},
    "threading": {"engine"},
    "markdown_it": {"text"},
    "regex": {"text"},
    "py3langid": {"text"},
}


@functools.cache
def imports(file: Path) -> set[str]:
    """Absolute names of all modules that a file imports, wherever in it."""
    package = file.relative_to(ROOT).parent.parts
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            of_folder = ROOT.joinpath(*module.split(".")).is_dir()  # so that what is imported are modules
            found |= {f"{module}.{alias.name}" if of_folder else module for alias in node.names}
    return found


def room(module: str) -> str | None:
    """The file or folder of ours that a module is in."""
    parts = module.split(".")
    return parts[1] if parts[0] == "wyoming_qwen3" and len(parts) > 1 else None


def files() -> list[Path]:
    return [file for file in PACKAGE.rglob("*.py") if file.name != "__init__.py"]


@pytest.mark.parametrize("file", files(), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_run_one_way(file: Path) -> None:
    row = {name: number for number, names in enumerate(ROWS) for name in names}
    here = room("wyoming_qwen3." + ".".join(file.relative_to(PACKAGE).with_suffix("").parts))
    assert here in row, f"{here} has no place in the house"
    for module in imports(file):
        there = room(module)
        if there in (None, "__version__", here) or (here, there) in WITHIN_A_ROW:
            continue
        assert there in row, f"{there} has no place in the house"
        assert row[there] < row[here], f"{here} imports {there}, which is not below it"


@pytest.mark.parametrize("file", files(), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_each_library_has_its_homes(file: Path) -> None:
    here = file.relative_to(PACKAGE).with_suffix("").parts[0]
    for module in imports(file):
        homes = HOMES.get(module.split(".")[0])
        assert homes is None or here in homes, f"{here} imports {module}"


def test_what_tests_share_is_in_no_test() -> None:
    found = {
        (file.relative_to(TESTS).as_posix(), module)
        for file in TESTS.rglob("*.py")
        for module in imports(file)
        if module.startswith("tests.") and module.rpartition(".")[2].startswith("test_")
    }
    assert not found


def test_benchmarks_are_of_no_use_to_other_tests() -> None:
    others = [file for file in TESTS.rglob("*.py") if TESTS / "bench" not in file.parents]
    assert [file.name for file in others if any(room(module) == "bench" for module in imports(file))] == []


def test_the_server_imports_nothing_heavy_before_it_is_needed() -> None:
    code = "import sys, wyoming_qwen3.__main__; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"torch", "transformers", "qwen_tts", "onnxruntime", "hibari", "huggingface_hub", "librosa", "scipy"}
    assert not heavy & set(loaded)


def test_the_engine_imports_nothing_of_upstream_before_a_clip_is_read() -> None:
    code = "import sys, wyoming_qwen3.engine.native; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "torch" in loaded
    assert not {"transformers", "qwen_tts", "librosa", "scipy", "torch._dynamo"} & set(loaded)

"""The rules on imports, held by reading the source."""

import ast
import functools
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROOT = TESTS.parent
PACKAGE = ROOT / "wyoming_qwen3"

# From the bottom up. A folder imports from the rows below its own, and folders in one row do not import each other.
ROWS: tuple[tuple[str, ...], ...] = (
    ("core",),
    ("engine", "text", "audio", "store", "ops"),
    ("models", "vllm"),
    ("voices",),
    ("speech",),
    ("cli", "wyoming", "api"),
    ("services",),
    ("server", "commands"),
    ("__main__",),
)

# Of the engine, the server's process imports what is on disk and the messages of the pipe: neither needs torch.
SEEN_OF_THE_ENGINE = ("checkpoint", "wire")

# Within the engine: the language model and the codec know nothing of each other.
ENGINE_ROWS: tuple[tuple[str, ...], ...] = (
    ("drafts", "wire", "memory", "devices", "precision", "cpu_quota", "cpu_load", "cuda_graphs", "checkpoint"),
    ("out_of_memory", "chosen_device", "measured_here"),
    ("guards", "isolation", "kernels", "upstream"),
    ("base", "lm", "codec"),
    ("cpu_speed", "rows"),
    ("step",),
    ("native",),
    ("host",),
)

# The one exception: 16-bit samples are made in one place.
EXCEPTIONS = {("store", "wyoming_qwen3.audio.pcm")}

HOMES = {
    "aiohttp": {"api", "ops", "vllm"},
    "av": {"audio"},
    "prometheus_client": {"ops"},
    "pydantic": {"api"},
    "tokenizers": {"engine"},
    "torch": {"engine"},
    "transformers": {"engine"},
    "triton": {"engine"},
    "qwen_tts": {"engine"},
    "safetensors": {"engine", "store"},
    "sqlite3": {"store"},
    "soundfile": {"store"},
    "pedalboard": {"audio"},
    "pyloudnorm": {"audio"},
    "huggingface_hub": {"engine"},
    "hibari": {"engine"},
    "wyoming": {"wyoming", "server"},
    "zeroconf": {"wyoming"},
    "subprocess": {"cli", "core", "engine", "models"},
    "threading": {"engine"},
    "markdown_it": {"text"},
    "regex": {"text"},
    "py3langid": {"text"},
    "babel": {"text"},
    "unicode_rbnf": {"text"},
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


def within(module: str, package: str) -> str | None:
    """The file or folder of a package that a module is in."""
    inner = module.removeprefix(f"{package}.")
    return None if inner == module else inner.split(".")[0]


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts)


def files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*.py") if file.name != "__init__.py"]


def forbidden(file: Path, package: str, rows: tuple[tuple[str, ...], ...]) -> set[str]:
    """What a file imports of a package though it is not in a row below the file's own."""
    row = {name: number for number, names in enumerate(rows) for name in names}
    here = within(module_of(file), package)
    assert here in row, f"{here} is in no row"
    others = {module: within(module, package) for module in imports(file)}
    others = {module: there for module, there in others.items() if there not in (None, "__version__", here)}
    return {module for module, there in others.items() if row.get(there or "", len(rows)) >= row[here]}


@pytest.mark.parametrize("file", files(PACKAGE), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_run_one_way(file: Path) -> None:
    found = forbidden(file, "wyoming_qwen3", ROWS)
    here = within(module_of(file), "wyoming_qwen3")
    assert {module for module in found if (here, module) not in EXCEPTIONS} == set()


@pytest.mark.parametrize("file", files(PACKAGE / "engine"), ids=lambda file: str(file.relative_to(PACKAGE / "engine")))
def test_imports_run_one_way_in_the_engine_too(file: Path) -> None:
    assert forbidden(file, "wyoming_qwen3.engine", ENGINE_ROWS) == set()


def test_the_server_imports_of_the_engine_what_needs_no_torch() -> None:
    prefix = "wyoming_qwen3.engine."
    outside = [file for file in files(PACKAGE) if PACKAGE / "engine" not in file.parents]
    seen = {(file, module) for file in outside for module in imports(file) if module.startswith(prefix)}
    assert {one for one in seen if not one[1].removeprefix(prefix).startswith(SEEN_OF_THE_ENGINE)} == set()


@pytest.mark.parametrize("file", files(PACKAGE), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_each_library_has_its_homes(file: Path) -> None:
    here = file.relative_to(PACKAGE).with_suffix("").parts[0]
    for module in imports(file):
        homes = HOMES.get(module.split(".")[0])
        assert homes is None or here in homes, f"{here} imports {module}"


def types_of(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """The classes and module-level type aliases of a file, without a leading underscore; True for a type variable."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node.name.lstrip("_"), False
    for statement in tree.body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ) if re.match(r"_?[A-Z][a-z]", name):
                yield name.lstrip("_"), ast.unparse(value).startswith(("TypeVar(", "ParamSpec("))


def test_the_name_of_a_class_or_type_is_defined_once() -> None:
    """A reader who meets a name, or searches for it, finds one meaning. Modules may share names of type variables."""
    found = [one for file in PACKAGE.rglob("*.py") for one in types_of(ast.parse(file.read_text(encoding="utf-8")))]
    variables = {name for name, is_variable in found if is_variable}
    names = Counter([*variables, *(name for name, is_variable in found if not is_variable)])
    assert [name for name, times in names.items() if times > 1] == []


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
    assert [file.name for file in others if any(module.split(".")[0] == "bench" for module in imports(file))] == []


def test_the_server_imports_nothing_heavy_before_it_is_needed() -> None:
    code = "import sys, wyoming_qwen3.server, wyoming_qwen3.commands; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"torch", "transformers", "qwen_tts", "onnxruntime", "hibari", "huggingface_hub", "librosa", "scipy"}
    assert not heavy & set(loaded)


def test_the_program_imports_a_server_only_to_serve() -> None:
    code = "import sys, wyoming_qwen3.__main__; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"aiohttp", "wyoming", "pydantic", "av", "markdown_it", "babel", "sqlite3"} & set(loaded)


def test_the_engine_imports_nothing_of_upstream_before_a_clip_is_read() -> None:
    code = "import sys, wyoming_qwen3.engine.native; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "torch" in loaded
    assert not {"transformers", "qwen_tts", "librosa", "scipy", "torch._dynamo", "triton"} & set(loaded)

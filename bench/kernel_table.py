"""Compiles our Triton kernels for GPUs that are not here, and reads what the compilers say of registers and memory.

Needs Triton, which brings the compilers; no GPU, and no driver. Knows no times.
"""

import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import torch

from wyoming_qwen3.core.hardware import GpuQuantize
from wyoming_qwen3.engine.lm.fused.launches import OPTIONS

from .launches import KernelCall, LaunchCount, fused_calls

TARGETS: Mapping[str, tuple[str, int | str]] = MappingProxyType(
    {
        "sm_75": ("cuda", 75),
        "sm_80": ("cuda", 80),
        "sm_86": ("cuda", 86),
        "sm_90": ("cuda", 90),
        "sm_120": ("cuda", 120),
        "gfx1100": ("hip", "gfx1100"),
    }
)
"""Turing, A100, RTX 30, H100, RTX 50, and RX 7000."""

ROWS = (1, 2, 4, 8)
"""The numbers of rows that have steps."""

_QUANTIZED: tuple[GpuQuantize, ...] = ("none", "int8")

_TYPES = {
    torch.bfloat16: "*bf16",
    torch.float32: "*fp32",
    torch.int64: "*i64",
    torch.int32: "*i32",
    torch.uint8: "*u8",
    torch.bool: "*i1",
}


@dataclass(frozen=True)
class Compiled:
    """What a kernel takes on a target: registers of a thread, bytes that a thread spills, shared memory of a program.

    `sums` are the layouts of the tensors that are summed, as Triton's intermediate code has them.
    """

    target: str
    name: str
    rows: int
    shape: str
    registers: int
    spilled: int
    shared: int
    sums: tuple[str, ...] = ()


def variants(sizes: Iterable[str], rows: Iterable[int] = ROWS) -> list[tuple[int, KernelCall]]:
    """Return each kind of launch once, with its number of rows. Raises ImportError without Triton."""
    cases = [(size, count, quantize) for size in sizes for quantize in _QUANTIZED for count in rows]
    calls = {call: case[1] for case in cases for part in fused_calls(*case) for call in part}
    alike: dict[Any, tuple[int, KernelCall]] = {}
    for call, count in calls.items():
        alike.setdefault((call.kernel, call.tensors, call.constants), (count, call))
    return list(alike.values())


def compile_for(target: str, calls: Sequence[tuple[int, KernelCall]]) -> Iterator[Compiled]:
    """Compile each kind of launch for a target."""
    for rows, call in calls:
        made = _compile(target, call)
        figures = _amd(made) if TARGETS[target][0] == "hip" else _nvidia(made)
        yield Compiled(target, call.kernel.__name__, rows, _shape(call), *figures, sums=_sums(made.asm["ttgir"]))


def to_markdown(compiled: Iterable[Compiled]) -> str:
    """Return a table with a line for each kernel and shape: registers by target, then the most bytes of any target.

    Registers are those for each number of rows, or one number if they are equal.
    """
    lines: dict[tuple[str, str], dict[str, list[Compiled]]] = {}
    for one in compiled:
        lines.setdefault((one.name, one.shape), {}).setdefault(one.target, []).append(one)
    targets = list(dict.fromkeys(target for line in lines.values() for target in line))
    text = [
        f"| Kernel | Shape | {' | '.join(targets)} | Spilled | Shared |",
        f"| --- | --- |{' --- |' * len(targets)} --- | --- |",
    ]
    for (name, shape), line in lines.items():
        every = [one for found in line.values() for one in found]
        most = (max(one.spilled for one in every), max(one.shared for one in every))
        cells = (*(_registers(line.get(target, [])) for target in targets), *map(str, most))
        text.append(f"| `{name}` | {shape} | {' | '.join(cells)} |")
    return "\n".join(text) + "\n"


def kernels_to_json(counts: Sequence[tuple[str, LaunchCount, LaunchCount | None]], compiled: Sequence[Compiled]) -> str:
    """Return launches by size, and what each kernel takes; our launches are left out if they were not counted."""
    launches = {
        size: {name: asdict(count) for name, count in (("plain", plain), ("fused", fused)) if count}
        for size, plain, fused in counts
    }
    return json.dumps({"launches": launches, "compiled": [asdict(one) for one in compiled]}, indent=2) + "\n"


def _compile(target: str, call: KernelCall) -> Any:
    from triton import compile as triton_compile  # noqa: PLC0415  only here
    from triton.backends.compiler import GPUTarget  # noqa: PLC0415
    from triton.compiler import ASTSource  # noqa: PLC0415

    names, constants = call.kernel.arg_names, dict(call.constants)
    signature = {name: _TYPES[dtype] for name, (dtype, _) in zip(names, call.tensors, strict=False)}
    source = ASTSource(
        call.kernel,
        signature | dict.fromkeys(constants, "constexpr"),
        constants,
        {(place,): [["tt.divisibility", 16]] for place, (_, aligned) in enumerate(call.tensors) if aligned},
    )
    return triton_compile(source, target=GPUTarget(*TARGETS[target], 32), options=dict(OPTIONS))


def _nvidia(made: Any) -> tuple[int, int, int]:
    """Read the machine code with NVIDIA's tool, which Triton brings; a thread's stack holds only what is spilled."""
    from triton import backends  # noqa: PLC0415

    tool = Path(backends.__file__).parent / "nvidia" / "bin" / "cuobjdump"
    with TemporaryDirectory() as folder:
        file = Path(folder) / "kernel.cubin"
        file.write_bytes(made.asm["cubin"])
        command = [str(tool), "--dump-resource-usage", str(file)]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    registers, stack = (int(re.search(rf"{name}:(\d+)", told)[1]) for name in ("REG", "STACK"))  # type: ignore[index]
    return registers, stack, made.metadata.shared


def _amd(made: Any) -> tuple[int, int, int]:
    """Read the notes of the assembly; a spilled vector register is 4 bytes of each thread."""
    text = made.asm["amdgcn"]
    registers, spilled = (int(re.search(rf"\.{name}:\s+(\d+)", text)[1]) for name in ("vgpr_count", "vgpr_spill_count"))  # type: ignore[index]
    return registers, 4 * spilled, made.metadata.shared


def _sums(code: str) -> tuple[str, ...]:
    """Return shape and layout of the operand of each sum, with the layout's name replaced by its definition."""
    layouts = dict(re.findall(r"^(#\w+) = (#ttg\.\S+<\{.*\}>)$", code, re.MULTILINE))
    operands = re.findall(r"^\s*\}\) : \(tensor<([\dx]+)xf32, (#\w+)>\)", code, re.MULTILINE)
    return tuple(f"{shape} {layouts.get(name, name)}" for shape, name in operands)


def _shape(call: KernelCall) -> str:
    given = dict(call.constants)
    if "INPUTS" in given:
        named = {"NORMED": "norm", "BIASED": "bias", "SCALED": "8 bits"}
        notes = (note for name, note in named.items() if given.get(name))
        return " ".join((f"{given['INPUTS']} to {given['OUTPUTS']}", *notes))
    if "CAPACITY" in given:
        return f"{given['CAPACITY']} positions in {given['SPLITS']}"
    last = " last" if given.get("LAST") else ""
    return (f"{given['IDS']} ids, " if "IDS" in given else "") + f"width {given['WIDTH']}{last}"


def _registers(found: Sequence[Compiled]) -> str:
    numbers = [str(one.registers) for one in found]
    return numbers[0] if len(set(numbers)) == 1 else " ".join(numbers)

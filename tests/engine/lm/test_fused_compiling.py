"""The kernels of some steps are compiled before the first launch, each once, with a report."""

from types import SimpleNamespace
from typing import Any

import torch

from wyoming_qwen3.engine.lm.fused.compiling import Variant, compile_steps
from wyoming_qwen3.engine.lm.fused.launches import Launch

PROJECT, DRAW = (SimpleNamespace(__name__=name) for name in ("project", "draw"))


class Steps:
    """Launches of kernels over parts of two tensors, whose dtypes and addresses differ."""

    def __init__(self, launch: Launch) -> None:
        self._launch = launch
        self._wide, self._bytes = torch.zeros(64), torch.zeros(64, dtype=torch.uint8)

    def talk(self, rows: int) -> None:
        for _ in range(28):
            self._launch(PROJECT, (4,), self._wide, ROWS=rows)
        self._launch(PROJECT, (4,), self._bytes, ROWS=rows)

    def frame(self, rows: int) -> None:
        for number in range(4):  # the second and the fourth begin 8 bytes after a multiple of 16
            self._launch(DRAW, (rows,), self._wide[2 * number :], IDS=64)


def test_each_kernel_is_compiled_once_and_told_of() -> None:
    compiled: list[Variant] = []
    told: list[tuple[int, int, int]] = []

    def report(done: int, total: int) -> None:
        told.append((done, total, len(compiled)))

    assert compile_steps(Steps, (1, 2), report, compiled.append) == 6
    names: list[Any] = [(one.kernel.__name__, one.tensors[0].dtype, one.constants) for one in compiled]
    assert names == [
        ("project", torch.float32, {"ROWS": 1}),
        ("project", torch.uint8, {"ROWS": 1}),
        ("draw", torch.float32, {"IDS": 64}),
        ("draw", torch.float32, {"IDS": 64}),
        ("project", torch.float32, {"ROWS": 2}),
        ("project", torch.uint8, {"ROWS": 2}),
    ]
    assert told == [(done, 6, done) for done in range(7)]


def test_a_kernel_is_compiled_as_it_is_launched() -> None:
    """With the same options and tensors, so that the launch finds it."""
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    kernel = SimpleNamespace(__name__="kernel", warmup=lambda *given, **more: calls.append((given, more)))
    tensor = torch.zeros(4)

    def make(launch: Launch) -> Any:
        return SimpleNamespace(talk=lambda rows: launch(kernel, (rows, 2), tensor, ROWS=rows), frame=lambda _: None)

    compile_steps(make, (4,), lambda *_: None)
    [(given, more)] = calls
    assert given == (tensor,)
    assert more == {"grid": (4, 2), "ROWS": 4, "num_warps": 4, "enable_fp_fusion": False}

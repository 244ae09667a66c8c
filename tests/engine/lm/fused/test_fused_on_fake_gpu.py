"""Fused steps on a GPU that no machine has: no kernel runs there, but each launch is looked at.

A launcher takes the place of Triton's and checks what it is given: devices, dtypes, shapes, grids, and that nothing is
allocated for it.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from tests.engine.conftest import LoadPair
from tests.engine.fake_gpu import Captures, Watch, fake_device, faked, faking
from wyoming_qwen3.core.checkpoints import Size
from wyoming_qwen3.core.request import Sampling, SpeechRequest
from wyoming_qwen3.core.speakers import SPEAKERS
from wyoming_qwen3.engine.lm import gpu_decode, language_model
from wyoming_qwen3.engine.lm.decode import Row
from wyoming_qwen3.engine.lm.gpu_decode import StaticDecoder
from wyoming_qwen3.engine.lm.language_model import load_static

pytestmark = pytest.mark.triton

STATE = (torch.float32, torch.int64, torch.int32, torch.bool)
"""Dtypes of what is not a weight or a state of the model."""


class WrongLaunch(Exception):
    """A launch that would fail on a GPU, or compute something else there."""


class CheckedLaunch:
    """Checks launches instead of making them; `dtype` is that of the model."""

    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._known: set[Any] | None = None
        self._storages: dict[Any, Tensor] = {}
        self.counts: Counter[str] = Counter()

    def close(self) -> None:
        """From now on, every tensor must be in memory that was used before."""
        self._known = set(self._storages)

    def __call__(self, kernel: Any, grid: Sequence[int], *tensors: Tensor, **constants: Any) -> None:
        name = kernel.__name__
        self.counts[name] += 1
        names = kernel.arg_names
        given = dict(zip(names, tensors, strict=False))
        if [*given, *constants] != [*names[: len(tensors)], *constants] or {*given, *constants} != {*names}:
            raise WrongLaunch(f"{name} takes {names}")
        for argument, tensor in given.items():
            storage = tensor.untyped_storage()._cdata
            self._storages[storage] = tensor
            if tensor.device.type != fake_device():
                raise WrongLaunch(f"{name}: {argument} is on {tensor.device}")
            if self._known is not None and storage not in self._known:
                raise WrongLaunch(f"{name}: {argument} was allocated for this launch")
            if tensor.dtype not in (self._dtype, torch.bfloat16, torch.uint8, *STATE):
                raise WrongLaunch(f"{name}: {argument} is {tensor.dtype}")
            if not tensor.is_contiguous() and argument not in ("noise", "codes"):
                raise WrongLaunch(f"{name}: {argument} is not contiguous")
        if min(grid) < 1 or len(grid) > 3:
            raise WrongLaunch(f"{name}: {grid}")
        if "weight" in given:
            self._check_product(name, grid, given, constants)

    def _check_product(self, name: str, grid: Sequence[int], given: dict[str, Tensor], constants: Any) -> None:
        weight, inputs, rows = given["weight"], constants["INPUTS"], constants["ROWS"]
        outputs = constants["OUTPUTS"] * (2 if name == "project_gated" else 1)
        result = given["states" if name == "add_projection" else "out"]
        fits = [
            weight.shape == (outputs, inputs),
            grid[0] * constants["BLOCK_OUTPUTS"] == outputs,
            inputs % constants["BLOCK_INPUTS"] == 0,
            given["x"].shape[1] == inputs,
            min(len(given["x"]), len(result)) >= rows,
            result.shape[1] == constants["OUTPUTS"],
            weight.dtype == (torch.uint8 if constants["SCALED"] else self._dtype),
        ]
        if constants["SCALED"]:
            fits += [given["scales"].shape == (outputs, inputs // constants["BLOCK_INPUTS"])]
            fits += [given["scales"].dtype == torch.bfloat16]
        if not all(fits):
            raise WrongLaunch(f"{name}: {weight.shape} does not fit {constants}")


@pytest.fixture(scope="module")
def mode() -> FakeTensorMode:
    return FakeTensorMode()


Load = Callable[..., tuple[StaticDecoder, CheckedLaunch]]


@pytest.fixture
def load(pairs: LoadPair, mode: FakeTensorMode, monkeypatch: pytest.MonkeyPatch) -> Load:
    monkeypatch.setattr(language_model, "release", lambda _: None)  # a fake device has no memory to give back

    def load(size: Size, dtype: torch.dtype, *, rounded: bool) -> tuple[StaticDecoder, CheckedLaunch]:
        from wyoming_qwen3.engine.lm.fused.steps import FusedSteps

        launch, published = CheckedLaunch(dtype), faked(pairs("custom_voice", size).published)

        def fuse(talker: Any, predictor: Any, slots: Any, _: Any) -> Any:
            return FusedSteps(talker, predictor, slots, launch)

        with faking(mode):
            decoder = load_static(published, fake_device(), dtype, Captures(), fuse, rounded=rounded).decoder
        assert isinstance(decoder, StaticDecoder)
        assert decoder.slots.fused
        return decoder, launch

    return load


@pytest.mark.parametrize("rounded", [False, True], ids=["plain", "8 bits"])
@pytest.mark.parametrize(("size", "dtype"), [("0.6B", torch.bfloat16), ("1.7B", torch.float32)], ids=str)
def test_each_launch_is_given_what_its_kernel_takes(
    load: Load, mode: FakeTensorMode, size: Size, dtype: torch.dtype, *, rounded: bool
) -> None:
    """All steps of all numbers of rows; called a second time they allocate nothing."""
    decoder, launch = load(size, dtype, rounded=rounded)
    assert len(launch.counts) == (8 if size == "1.7B" else 9)
    launch.close()
    launch.counts.clear()
    steps: Any = decoder.slots._kept
    with faking(mode), torch.inference_mode(), Watch() as watch:
        for rows in (1, 2, 4, 8):
            steps.talk(rows)
            steps.frame(rows)
    assert watch.allocated == {}
    assert watch.launches == 0  # nothing of PyTorch's is among them
    assert launch.counts["attend"] == 4 * (2 + 16)


def test_rows_are_opened_and_stepped_without_waiting(
    load: Load, mode: FakeTensorMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder, _ = load("0.6B", torch.bfloat16, rounded=True)
    monkeypatch.setattr(gpu_decode, "read_back", lambda tensor: lambda: torch.ones(tensor.shape, dtype=torch.int64))
    request = SpeechRequest(SPEAKERS[0], sampling=Sampling(seed=1))
    rows: list[Row] = []
    with faking(mode), Watch():
        for number in range(9):
            rows.append(decoder.admit(request, text="The quick brown fox.", streaming_text=number % 2 == 0))
            decoder.step([])
    assert len(rows) == 9


def on_host(steps: Any) -> None:
    steps._states = torch.empty(steps._states.shape)


def of_another_dtype(steps: Any) -> None:
    steps._states = steps._states.double()


def of_other_rows(steps: Any) -> None:
    steps._logits = steps._logits[:2]


def turned(steps: Any) -> None:
    steps._states = steps._states.t().contiguous().t()


def allocated(steps: Any) -> None:
    steps._totals = steps._totals.clone()


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (on_host, "is on cpu"),
        (of_another_dtype, "float64"),
        (of_other_rows, "does not fit"),
        (turned, "not contiguous"),
        (allocated, "was allocated"),
    ],
)
def test_a_launch_with_a_planted_fault_is_found_out(
    load: Load, mode: FakeTensorMode, plant: Callable[[Any], None], said: str
) -> None:
    decoder, launch = load("0.6B", torch.bfloat16, rounded=False)
    if plant is allocated:
        launch.close()
    steps: Any = decoder.slots._kept
    with faking(mode), torch.inference_mode():
        plant(steps)
        with pytest.raises(WrongLaunch, match=said):
            steps.frame(8)

"""How far ahead weights are prefetched: the fastest distance, measured once for each processor and pack."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.tiny import build_checkpoint
from wyoming_qwen3.engine import measured_here
from wyoming_qwen3.engine.checkpoint.published import open_checkpoint
from wyoming_qwen3.engine.cpu_load import CpuTimes
from wyoming_qwen3.engine.kernels.library import load_kernels
from wyoming_qwen3.engine.lm import cpu_tuning
from wyoming_qwen3.engine.lm.cpu_kernels import QuantizedTransformer
from wyoming_qwen3.engine.lm.cpu_tuning import DISTANCES, fastest, tuned
from wyoming_qwen3.engine.lm.language_model import load_quantized
from wyoming_qwen3.engine.measured_here import processor

KEY = {"kind": "avx2", "threads": 2}


def test_the_shortest_time_decides_and_not_the_usual_one() -> None:
    assert fastest({0: [5.0, 2.0, 2.1], 2048: [1.8, 9.0, 9.0], 8192: [2.0, 2.0, 2.0]}) == 2048
    assert fastest({0: [5.0, 2.0, 2.1], 2048: [1.99, 9.0, 9.0], 8192: [2.0, 2.0, 2.0]}) == 0


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The share of the processors that other programs take: the last one counts, 0 at first."""
    shares = [0.0]
    monkeypatch.setattr(CpuTimes, "others_since", lambda *_: shares[-1])
    return shares


class _Steps:
    """Steps that take no time, and the clock by which those of the distance `fast` are the shortest."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fast: int) -> None:
        self.fast = fast
        self.taken = 0
        self._now = 0.0
        monkeypatch.setattr(cpu_tuning, "perf_counter", lambda: self._now)

    def __call__(self, distance: int) -> Callable[[], None]:
        def step() -> None:
            self.taken += 1
            self._now += 1.0 if distance == self.fast else 2.0

        return step


@pytest.mark.usefixtures("others")
def test_it_is_measured_once_for_each_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps, file = _Steps(monkeypatch, fast=8192), tmp_path / "tuning.json"
    assert tuned(file, KEY, steps) == 8192
    taken = steps.taken
    assert taken > 0
    steps.fast = 2048
    assert tuned(file, KEY, steps) == 8192
    assert steps.taken == taken
    assert tuned(file, KEY | {"threads": 1}, steps) == 2048
    monkeypatch.setattr(measured_here, "processor", lambda: "another")
    steps.fast = 0
    assert tuned(file, KEY | {"threads": 1}, steps) == 0


def test_what_other_programs_disturbed_is_measured_again_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: list[float]
) -> None:
    steps, file = _Steps(monkeypatch, fast=2048), tmp_path / "tuning.json"
    others.append(0.5)
    assert tuned(file, KEY, steps) == 2048
    steps.fast = 8192
    others.append(0.05)
    assert tuned(file, KEY, steps) == 8192
    steps.fast = 0
    assert tuned(file, KEY, steps) == 8192


UNKNOWN = json.dumps({"measured": KEY | {"processor": processor()}, "distance": -1, "disturbed": False})


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize("content", ["", "{", "[]", '{"key": {}}', UNKNOWN], ids=repr)
def test_a_damaged_file_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    steps, file = _Steps(monkeypatch, fast=2048), tmp_path / "tuning.json"
    file.write_text(content)
    assert tuned(file, KEY, steps) == 2048
    taken = steps.taken
    assert tuned(file, KEY, steps) == 2048
    assert steps.taken == taken


def test_a_file_that_cant_be_written_is_only_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert tuned(tmp_path / "missing" / "tuning.json", KEY, _Steps(monkeypatch, fast=0)) == 0
    assert "can't be written" in caplog.text


def test_the_distance_changes_no_bit_and_is_found_again(tmp_path: Path) -> None:
    kernels, path = load_kernels(2), build_checkpoint(tmp_path / "tiny", "custom_voice")
    assert kernels is not None
    x = torch.randn(1, 5, 32, generator=torch.Generator().manual_seed(1))
    found = []
    for distance in (None, *DISTANCES):
        file = path / "tuning-int8.json"
        if distance is not None:
            file.write_text(json.dumps(json.loads(file.read_text()) | {"distance": distance, "disturbed": False}))
        transformer = load_quantized(open_checkpoint(path), "int8", kernels).decoder.model.talker.transformer
        assert isinstance(transformer, QuantizedTransformer)
        if distance is not None:
            assert transformer.layout.layers[0].down.ahead == distance
        found.append(transformer(x, [transformer.new_cache(5)]))
    assert all(torch.equal(one, found[0]) for one in found)

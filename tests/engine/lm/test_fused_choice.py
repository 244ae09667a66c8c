"""Where steps are fused, what the log says of it, and what happens where fused kernels fail."""

import gc
import logging
import sysconfig
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.engine.conftest import LoadPair
from tests.engine.golden import request, run
from tests.engine.replay import NoMemory
from wyoming_qwen3.core.request import Sampling
from wyoming_qwen3.engine.cuda_graphs import DirectCalls
from wyoming_qwen3.engine.lm.decode import Decoder
from wyoming_qwen3.engine.lm.fused import choice
from wyoming_qwen3.engine.lm.gpu_decode import StaticDecoder
from wyoming_qwen3.engine.lm.gpu_int8 import GroupedInt8Linear
from wyoming_qwen3.engine.lm.language_model import load_exact, load_static


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A machine where steps can be fused, whatever this one lacks."""
    (tmp_path / "Python.h").touch()
    (tmp_path / "gcc").write_text("#!/bin/sh\n")
    (tmp_path / "gcc").chmod(0o755)
    monkeypatch.setattr(choice, "find_spec", lambda _: object())
    monkeypatch.setattr(sysconfig, "get_path", lambda *_: str(tmp_path))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 6))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    return monkeypatch


def test_steps_are_fused_where_all_is_there(able: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert choice.choose_fused("cuda") is not None
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "fused kernels" in caplog.text


def lack_compiler(able: pytest.MonkeyPatch) -> None:
    able.setenv("PATH", "/nowhere")


def lack_named_compiler(able: pytest.MonkeyPatch) -> None:
    able.setenv("CC", "/nowhere/cc")


def lack_headers(able: pytest.MonkeyPatch) -> None:
    able.setattr(sysconfig, "get_path", lambda *_: "/nowhere")


def lack_triton(able: pytest.MonkeyPatch) -> None:
    able.setattr(choice, "find_spec", lambda _: None)


def be_old(able: pytest.MonkeyPatch) -> None:
    able.setattr(torch.cuda, "get_device_capability", lambda _: (7, 0))


@pytest.mark.parametrize(
    ("lack", "reason"),
    [
        (lack_triton, "Triton is not installed"),
        (lack_compiler, "C compiler"),
        (lack_named_compiler, "C compiler"),
        (lack_headers, "python3-dev"),
        (be_old, "compute capability 7.5"),
    ],
)
def test_what_is_missing_is_said_once(
    able: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, lack: Any, reason: str
) -> None:
    lack(able)
    assert choice.choose_fused("cuda:1") is None
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert reason in record.message


def test_other_devices_have_their_own_kernels(able: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    assert choice.choose_fused("cpu") is None
    assert not caplog.records
    assert choice.choose_fused("mps") is None
    assert "not on mps" in caplog.text


class Failing:
    """Steps that fail when they are first called, as kernels do that can't be compiled."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def talk(self, _: int) -> None:
        raise self._error

    frame = talk


class Calling:
    """Calls each step once, as a capture does."""

    def capture(self, what: str, steps: Any) -> Any:
        for step in steps.values():
            step()
        return DirectCalls().capture(what, steps)


class Captured:
    """Keeps nothing of the steps, as a graph keeps only addresses."""

    def capture(self, _: str, steps: Any) -> Any:
        return {name: lambda: None for name in steps}


def test_the_tensors_of_captured_steps_stay(pairs: LoadPair) -> None:
    pair, made = pairs("custom_voice", "0.6B"), []

    def fuse(*_: Any) -> Failing:
        steps = Failing(RuntimeError())
        made.append(weakref.ref(steps))
        return steps

    loaded = load_static(pair.published, "cpu", torch.float32, Captured(), fuse)
    assert isinstance(loaded.decoder, StaticDecoder)
    assert made[0]() is not None
    del loaded
    gc.collect()
    assert made[0]() is None


def test_where_kernels_fail_pytorchs_are_used(pairs: LoadPair, caplog: pytest.LogCaptureFixture) -> None:
    pair = pairs("custom_voice", "0.6B")
    error = RuntimeError("ptxas fatal: no kernel image\nof many lines")
    loaded = load_static(pair.published, "cpu", torch.float32, Calling(), lambda *_: Failing(error))
    assert isinstance(loaded.decoder, StaticDecoder)
    assert loaded.decoder.slots.buckets.lengths == (256, 512, 1024)
    assert "Fused kernels failed, so PyTorch's are used" in caplog.text
    assert "ptxas fatal: no kernel image" in caplog.text
    assert "of many lines" not in caplog.text
    asked = request(pair)
    assert run(loaded.decoder, loaded.decoder.admit(asked, text="Hi.")) != [[]]


def test_weights_in_8_bits_are_widened_where_kernels_fail(pairs: LoadPair, caplog: pytest.LogCaptureFixture) -> None:
    pair, error = pairs("custom_voice", "0.6B"), RuntimeError("ptxas fatal")
    plain = load_static(pair.published, "cpu", torch.float32, DirectCalls())
    fuse: Any = lambda *_: Failing(error)  # noqa: E731
    loaded = load_static(pair.published, "cpu", torch.float32, Calling(), fuse, rounded=True)
    assert "Fused kernels failed" in caplog.text
    assert isinstance(loaded.decoder, StaticDecoder)
    assert not loaded.decoder.slots.fused
    layer: Any = loaded.decoder.model.talker.transformer.layers[0]  # type: ignore[attr-defined]
    assert layer.qkv.weight.dtype == torch.uint8
    assert loaded.footprint < plain.footprint
    exact = load_exact(pair.published, "cpu", torch.float32, GroupedInt8Linear).decoder
    asked = request(pair, sampling=Sampling(temperature=0.0, max_frames=3))
    found, expected = (run(decoder, decoder.admit(asked, text="Hi.")) for decoder in (loaded.decoder, exact))
    assert found == expected


def test_without_memory_for_any_kernels_it_speaks_all_the_same(
    pairs: LoadPair, caplog: pytest.LogCaptureFixture
) -> None:
    pair = pairs("custom_voice", "0.6B")
    nothing = SimpleNamespace(talk=lambda _: None, frame=lambda _: None)
    loaded = load_static(pair.published, "cpu", torch.float32, NoMemory(), lambda *_: nothing)
    assert type(loaded.decoder) is Decoder
    assert "Generating speech without CUDA graphs" in caplog.text


def test_memory_that_ran_out_is_not_blamed_on_the_kernels(pairs: LoadPair, caplog: pytest.LogCaptureFixture) -> None:
    pair = pairs("custom_voice", "0.6B")
    full = Failing(torch.OutOfMemoryError("CUDA out of memory."))
    loaded = load_static(pair.published, "cpu", torch.float32, Calling(), lambda *_: full)
    assert type(loaded.decoder) is Decoder
    assert "Fused kernels failed" not in caplog.text

"""The peer faster-qwen3-tts: a module of that name that makes silence stands in for it, the driver is the real one."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import faster
from bench.__main__ import main
from bench.engine import Figures, Plan, Report, measure_faster
from bench.environment import Environment
from bench.picture import engine_panels
from bench.report import to_json, to_text
from bench.systems import Times, Weights
from tests.tiny import build_checkpoint
from wyoming_qwen3.core.errors import EngineFailed, InvalidRequest

PEER = """
import http.client, json, pathlib, time  # the driver lies beside an http.py of ours
import numpy as np

CALLS = pathlib.Path(__file__).with_name("calls.jsonl")

class FasterQwen3TTS:
    @classmethod
    def from_pretrained(cls, checkpoint, device, dtype):
        print("flash-attn is not installed")
        cls.loaded = [pathlib.Path(checkpoint).name, device, dtype]
        return cls()

    def generate_custom_voice_streaming(self, text, speaker, language, chunk_size=12, **options):
        with CALLS.open("a") as file:
            file.write(json.dumps([*self.loaded, text, speaker, language, chunk_size, options]) + "\\n")
        left = options["max_new_tokens"]
        while left:
            time.sleep(0.01)
            frames = min(chunk_size, left)
            left -= frames
            yield np.zeros(1920 * frames, np.float32), 24000, {}
"""
CHUNKS = ["1", "2", "4", "8", "default"]


@pytest.fixture
def peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Writes the module of that name, in place of the one that a virtual environment has; returns its folder."""

    def write(source: str) -> Path:
        (tmp_path / "faster_qwen3_tts.py").write_text(source)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setattr(Environment, "python", Path(sys.executable))
        return tmp_path

    return write


def speak(folder: Path) -> faster.Spoken:
    return faster.speak(Weights("0.6B", folder, "cpu", torch.bfloat16), "A text.", 20, 2, CHUNKS)


def test_the_driver_asks_for_each_chunk_size_and_for_as_many_frames(peer: Callable[[str], Path]) -> None:
    folder = peer(PEER)
    spoken = speak(folder)
    calls = [json.loads(line) for line in (folder / "calls.jsonl").read_text().splitlines()]
    options = {"non_streaming_mode": True, "min_new_tokens": 20, "max_new_tokens": 20}
    known = [folder.name, "cpu", "bfloat16", "A text.", "ryan", "english"]
    assert calls == [[*known, size, options] for size in (1, 2, 4, 8, 12) for _ in range(3)]  # the first is a warm-up
    assert list(spoken.times) == CHUNKS
    assert all(len(runs) == 2 for runs in spoken.times.values())
    assert all(0.01 <= times.first < times.last for runs in spoken.times.values() for times in runs)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (
            PEER.replace("return cls()", 'raise ValueError("CUDA graphs require CUDA device")'),
            "ValueError: CUDA graphs",
        ),
        (PEER.replace("while left:", "while left > 5:"), "it spoke 28800 of 38400 samples"),
    ],
)
def test_what_the_driver_fails_for_is_told_in_a_line(peer: Callable[[str], Path], source: str, told: str) -> None:
    with pytest.raises(EngineFailed, match=f"^faster-qwen3-tts failed: {told}") as caught:
        speak(peer(source))
    assert "\n" not in str(caught.value)


def test_times_become_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = {chunk: [Times(0.1 * number, 0.5), Times(0.1 * number, 1.5)] for number, chunk in enumerate(CHUNKS, 1)}
    monkeypatch.setattr(faster, "speak", lambda *_: faster.Spoken(times, 123.0))
    weights = Weights("0.6B", build_checkpoint(tmp_path, "custom_voice"), "cpu", torch.float32)
    figures = measure_faster(Plan(weights, ("faster",), 25, 2, (1, 2)))
    assert figures.speed_x == pytest.approx(2.0)
    assert figures.utterance_s == {"p50": 1.0, "p95": pytest.approx(1.45)}
    assert figures.first_pcm_ms == {chunk: pytest.approx(100 * number) for number, chunk in enumerate(CHUNKS, 1)}
    assert figures.peak_mb == 123.0
    assert not figures.ms_per_frame
    assert not figures.rows


def test_it_has_a_column_with_no_more_than_what_it_gives() -> None:
    first = {"1": 100.0, "default": 200.0}
    parts = {"talker": 1.0, "predictor": 2.0, "codec": 3.0, "other": 4.0, "total": 10.0}
    ours = Figures(1.5, first, first, parts, {"1": 1.5, "2": 2.5}, 1000.0, {"p50": 1.0, "p95": 1.1})
    run = {"weights": "tiny", "device": "cuda", "dtype": "bfloat16", "quantize": "none", "frames": 25, "runs": 2}
    report = Report({}, run, {"gate": True}, {"ours": ours, "faster": replace(ours, ms_per_frame={}, rows={})})
    heading, *lines = to_text(report).splitlines()[5:]
    cells = {line[:40].strip(): line.split()[-1] for line in lines}
    assert heading.split() == ["ours", "faster"]
    assert cells["audio s per wall s"] == "1.500"
    assert cells["ms per frame, talker"] == cells["audio s per wall s, rows 2"] == "-"
    assert set(json.loads(to_json(report))["systems"]["faster"]) == {
        *("speed_x", "first_pcm_ms", "first_pcm_ms_p95", "peak_mb", "utterance_s")
    }
    speed, _, frame, _ = engine_panels(report)
    assert set(speed.bars) == {"ours", "faster"}
    assert set(frame.bars) == {"ours"}


def test_without_a_gpu_it_is_refused_before_anything_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("something was started"))
    assert main(["engine", "--random-weights", "--size", "tiny", "--against", "stock,faster"]) == 1
    said = capsys.readouterr()
    assert said.err == "bench: faster-qwen3-tts runs on a CUDA GPU only; leave it out of --against.\n"
    assert said.out == ""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InvalidRequest, match="CUDA GPU only"):
        faster.require_gpu("cuda")


class Commands:
    """Stands in for subprocess.run: keeps what would be run, the last of which may fail."""

    def __init__(self, said: str = "", failing: str = "") -> None:
        self.said, self.failing = said, failing
        self.run: list[str] = []

    def __call__(self, command: list[Any], **_: Any) -> subprocess.CompletedProcess[str]:
        self.run.append(" ".join(map(str, command)))
        if "venv" in command:
            Path(command[-1]).mkdir(parents=True, exist_ok=True)
        failed = bool(self.failing) and self.failing in self.run[-1]
        return subprocess.CompletedProcess(command, int(failed), "", self.said)


def test_it_is_installed_once_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands, lines = Commands(), list[str]()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(subprocess, "run", commands)
    for _ in range(2):
        faster.environment().install(lines.append)
    folder = tmp_path / "wyoming-qwen3" / "bench-faster-qwen3-tts-0.5.4"
    made, needed, peer = commands.run
    assert made == f"{sys.executable} -m venv --clear {folder}"
    assert f" torch=={torch.__version__.partition('+')[0]} " in needed
    assert peer.startswith(f"{folder}/bin/python -m pip install ")
    assert peer.endswith("--no-deps faster-qwen3-tts==0.5.4 qwen-tts-hf==0.1.1.post1")
    assert len(lines) == 1
    monkeypatch.setattr(faster, "_NEEDED", ("torch==1.0",))
    faster.environment().install(lines.append)
    assert len(commands.run) == 6


def test_pips_error_is_told_in_a_line_and_the_next_try_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = Commands("WARNING: a\nERROR: No matching distribution found for torch\n", "torch==")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(subprocess, "run", commands)
    for _ in range(2):
        with pytest.raises(EngineFailed) as caught:
            faster.environment().install(lambda _: None)
    assert str(caught.value) == (
        "faster-qwen3-tts could not be installed: ERROR: No matching distribution found for torch"
    )
    assert len(commands.run) == 4

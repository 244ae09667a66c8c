"""Systems in turns, each in its process. Modules of the peers' names that make silence stand in for them; the driver
and the environments are the real ones."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench import native_peers
from bench.__main__ import main
from bench.engine import Figures, Report
from bench.environment import Environment
from bench.machine import describe_machine
from bench.native_peers import VOX, qwentts, vox
from bench.report import to_sheet
from bench.systems import Ours, Times, Weights, kind_here, text_for
from bench.turns import in_process, take_turns
from tests.tiny import build_checkpoint
from wyoming_qwen3 import __version__
from wyoming_qwen3.core.errors import EngineFailed, InvalidRequest

VOX_MODULE = """
import http.client, json, pathlib, sys  # the driver lies beside an http.py of ours
import numpy as np

CALLS = pathlib.Path(__file__).with_name("calls.jsonl")
print("a hint")

def note(*call):
    with CALLS.open("a") as file:
        file.write(json.dumps(call) + "\\n")

class Engine:
    def __init__(self, path, device, threads):
        note("load", pathlib.Path(path).read_text(), device, threads)

    def speaker_voice(self, speaker):
        return speaker

    def stream(self, text, voice, **options):
        note("speak", text, voice, options)
        for _ in range(options["max_frames"]):
            yield np.zeros(1920, np.float32)

if __name__ == "__main__":
    note("convert", *sys.argv[1:-1])
    pathlib.Path(sys.argv[-1]).write_text("converted")
"""
QWENTTS_MODULE = """
import numpy as np

class QwenTTS:
    def __init__(self, talker, codec, cpu_threads):
        self.files = open(talker).read() + open(codec).read()

    def stream(self, text, lang, speaker, seed, max_new_tokens):
        assert (self.files, lang, speaker) == ("talker codec", "english", "ryan")
        yield np.zeros(1920 * max_new_tokens, np.float32), 24000
"""


@pytest.fixture
def peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Writes a module in place of the one that a virtual environment has; returns its folder."""

    def write(name: str, source: str) -> Path:
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setattr(Environment, "python", Path(sys.executable))
        monkeypatch.setattr(Environment, "installed", True)
        return tmp_path

    return write


def quiet(_: str) -> None:
    pass


def test_vox_converts_the_checkpoint_and_speaks_as_many_frames(peer: Callable[[str, str], Path]) -> None:
    folder = peer("vox", VOX_MODULE)
    with vox(Weights("0.6B", folder / "here", "cpu", torch.float32, "int4"), quiet) as turn:
        times = [turn.speak("A text.", frames, seed) for seed, frames in enumerate((3, 20))]
        assert turn.peak_mb() > 1
    assert all(0 < one.first <= one.last for one in times)
    convert, load, *spoken = [json.loads(line) for line in (folder / "calls.jsonl").read_text().splitlines()]
    options = ["--dtype", "bf16", "--quant", "q4", "--no-hash", "-o"]
    assert convert == ["convert", "build", "--model", str(folder / "here"), *options]
    assert load == ["load", "converted", "cpu", torch.get_num_threads()]
    assert spoken == [
        ["speak", "A text.", "ryan", {"language": "english", "seed": seed, "max_frames": frames}]
        for seed, frames in enumerate((3, 20))
    ]


def test_gguf_files_are_spoken_by_the_other_peer(peer: Callable[[str, str], Path]) -> None:
    folder = peer("qwentts_cpp_cpu", QWENTTS_MODULE)
    files = [folder / name for name in ("talker ", "codec")]
    for file in files:
        file.write_text(file.name)
    with qwentts(files[0], files[1], quiet) as turn:
        assert turn.speak("A text.", 4, 0).last > 0


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (VOX_MODULE.replace('["max_frames"]', '["max_frames"] - 1'), "it spoke 5760 of 7680 samples"),
        (VOX_MODULE.replace("return speaker", 'raise ValueError("no such speaker")'), "ValueError: no such speaker"),
    ],
)
def test_what_a_peer_fails_for_is_told_in_a_line(peer: Callable[[str, str], Path], source: str, told: str) -> None:
    weights = Weights("0.6B", peer("vox", source), "cpu", torch.float32)
    with pytest.raises(EngineFailed, match=f"^vox-tts failed: {told}$"), vox(weights, quiet) as turn:
        turn.speak("A text.", 4, 0)


def test_a_conversion_that_fails_is_told(peer: Callable[[str, str], Path]) -> None:
    weights = Weights("0.6B", peer("vox", 'raise SystemExit("no such folder")'), "cpu", torch.float32)
    with (
        pytest.raises(EngineFailed, match=r"^vox-tts could not convert the checkpoint: no such folder$"),
        vox(weights, quiet),
    ):
        pass


def test_ours_speaks_in_its_own_process_and_tells_its_errors(tmp_path: Path) -> None:
    weights = Weights("0.6B", build_checkpoint(tmp_path, "custom_voice"), "cpu", torch.float32)
    with in_process(Ours.load, weights) as turn:
        times = turn.speak(text_for(weights.open(), 8), 4, 0)
        assert 0 < times.first < times.last
        with pytest.raises(InvalidRequest, match="ended after"):
            turn.speak(text_for(weights.open(), 8), 500, 0)


def test_each_speaks_once_before_one_speaks_again() -> None:
    said: list[tuple[str, int, int]] = []

    class Noting:
        def __init__(self, name: str) -> None:
            self.name = name

        def speak(self, text: str, frames: int, seed: int) -> Times:
            assert text == "A text."
            said.append((self.name, frames, seed))
            return Times(seed, seed)

    times = take_turns({name: Noting(name) for name in "ab"}, "A text.", 25, 2)
    assert said == [("a", 3, 0), ("b", 3, 0), *((name, 25, run) for run in (0, 1) for name in "ab")]
    assert times == {name: [Times(0, 0), Times(1, 1)] for name in "ab"}


def test_a_peer_of_a_cpu_is_refused_on_a_gpu() -> None:
    with pytest.raises(InvalidRequest, match="on a CPU only"):
        native_peers.require_cpu(VOX.name, "cuda")


@pytest.mark.parametrize("given", ["talker.gguf", "talker.gguf,codec.gguf"])
def test_gguf_files_that_are_not_there_are_refused(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["engine", "--random-weights", "--size", "tiny", "--gguf", given])
    assert "two files are expected" in capsys.readouterr().err


def test_another_kind_of_kernels_is_measured() -> None:
    weights = Weights("tiny", None, "cpu", torch.float32, "int8", kind="plain")
    assert weights.load_kernels().kind == kind_here(weights) == "plain"
    assert kind_here(replace(weights, quantize="none")) is None
    with pytest.raises(EngineFailed, match="of kind riscv are not compiled, or can't run here"):
        replace(weights, kind="riscv").load_kernels()


def test_the_sheet_tells_what_an_issue_needs() -> None:
    machine = describe_machine("cpu")
    run = {"weights": "random 0.6B", "device": "cpu", "dtype": "float32", "quantize": "int4", "kernels": "avx2"}
    parts = {"talker": 1.0, "predictor": 2.04, "codec": 3.0}
    figures = Figures(1.234, {"default": 99.6}, {}, parts, {}, 1000.0, {"p50": 1.0, "p95": 1.1})
    head, rule, *rows = to_sheet(Report(machine, run, {"gate": True}, {"ours": figures})).splitlines()
    assert (head, rule) == ("| this machine | |", "|---|---|")
    cells = {row.split(" | ")[0].removeprefix("| "): row.split(" | ")[1].removesuffix(" |") for row in rows}
    assert cells["kernels, threads"] == f"avx2, {torch.get_num_threads()}"
    assert cells["weights"] == "random 0.6B, int4"
    assert (cells["audio s per wall s"], cells["first PCM"]) == ("1.23", "100 ms")
    assert cells["ms per frame"] == "talker 1.0, predictor 2.0, codec 3.0"
    assert cells["version"].startswith(f"wyoming-qwen3 {__version__}, torch {torch.__version__}")

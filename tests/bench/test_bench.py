"""The benchmark, end to end on tiny dimensions: what it reports, and that it reports nothing of a wrong engine."""

import contextlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from bench.__main__ import main
from bench.floor import frame_shapes, parameters
from bench.gates import check
from bench.picture import Panel, draw
from bench.random_weights import SIZES, build_model, talker_config
from bench.systems import Ours, Weights, text_for
from tests.tiny import build_checkpoint
from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.engine.codec.decoder import CodecDecoder
from wyoming_qwen3.engine.codec.gpu_decoder import static_codec
from wyoming_qwen3.engine.cuda_graphs import DirectCalls
from wyoming_qwen3.engine.lm.gpu_decode import StaticDecoder
from wyoming_qwen3.engine.lm.talker import Talker

OPTIONS = ["engine", "--size", "tiny", "--random-weights", "--frames", "9", "--runs", "2"]
GATES = {"greedy_frames_equal_stock", "streamed_equals_whole", "first_frame_depends_on_text"}


@dataclass
class Outcome:
    code: int
    text: str
    json: dict[str, Any]
    file: Path


@pytest.fixture(scope="module")
def tiny() -> Iterator[Weights]:
    with Weights("tiny", None, "cpu", torch.float32).on_disk() as weights:
        yield weights


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A whole run, each system in a process of its own."""
    file = tmp_path_factory.mktemp("bench") / "results.json"
    with contextlib.redirect_stdout(io.StringIO()) as written:
        code = main([*OPTIONS, "--against", "stock", "--rows", "1,2", "--json", str(file)])
    return Outcome(code, written.getvalue(), json.loads(file.read_text()), file)


def test_all_gates_pass(outcome: Outcome) -> None:
    assert outcome.code == 0
    assert outcome.json["gates"] == dict.fromkeys(GATES, True)


def test_json_has_what_was_measured_and_nothing_else(outcome: Outcome) -> None:
    systems = outcome.json["systems"]
    parts = {"talker", "predictor", "codec", "other", "total"}
    assert set(outcome.json) == {"machine", "run", "gates", "systems", "floor"}
    assert set(systems) == {"ours", "stock"}
    shared = {"speed_x", "first_pcm_ms", "first_pcm_ms_p95", "ms_per_frame", "rows", "peak_mb", "utterance_s"}
    assert set(systems["ours"]) == shared | {"first_pcm_ms_new_voice", "load_s", "pack_s"}
    assert set(systems["stock"]) == shared
    for figures in systems.values():
        assert set(figures["first_pcm_ms"]) == set(figures["first_pcm_ms_p95"]) == {"1", "2", "4", "8", "default"}
        assert set(figures["rows"]) == {"1", "2"}
    assert set(systems["ours"]["ms_per_frame"]) == set(systems["stock"]["ms_per_frame"]) == parts
    assert {"gparam_per_s", "share"} <= set(outcome.json["floor"])
    assert {"cpu", "cores", "instructions", "torch"} <= set(outcome.json["machine"])


def test_figures_agree_with_each_other(outcome: Outcome) -> None:
    for figures in outcome.json["systems"].values():
        *parts, total = figures["ms_per_frame"].values()
        assert sum(parts) == pytest.approx(total)
        assert all(part > 0 for part in parts)
        assert figures["rows"]["1"] == figures["speed_x"]
        assert all(p95 >= figures["first_pcm_ms"][chunk] for chunk, p95 in figures["first_pcm_ms_p95"].items())
    ours = outcome.json["systems"]["ours"]
    assert ours["first_pcm_ms"]["1"] < ours["first_pcm_ms"]["8"]  # no time of a machine: eight frames are more than one
    stock = outcome.json["systems"]["stock"]
    assert stock["first_pcm_ms"]["default"] / 1e3 * stock["speed_x"] == pytest.approx(9 * 0.08)


def test_the_table_names_machine_gates_and_systems(outcome: Outcome) -> None:
    first, *_ = outcome.text.splitlines()
    assert outcome.json["machine"]["cpu"] in first
    assert outcome.text.count(": passed") == len(GATES)
    assert f"{outcome.json['systems']['ours']['speed_x']:.3f}" in outcome.text
    assert "Floor" in outcome.text


def test_the_picture_lies_beside_the_json(outcome: Outcome) -> None:
    with Image.open(outcome.file.with_suffix(".png")) as picture:
        assert picture.format == "PNG"
        shades = picture.convert("L").getcolors()
    assert shades is not None
    assert len(shades) > 10


def test_a_picture_is_as_high_as_its_panels(tmp_path: Path) -> None:
    panels = [Panel("One", {"a": {"": 1.0}}), Panel("Two", {"a": {"x": 1.0, "y": 2.0}, "b": {"x": 0.0}})]
    for number in (1, 2):
        draw(tmp_path / f"{number}.png", "Title", {"cpu": "x"}, panels[:number])
    heights = [Image.open(tmp_path / f"{number}.png").height for number in (1, 2)]
    assert heights[1] - heights[0] == panels[1].height
    assert panels[1].parts == ["x", "y"]


def test_a_failed_gate_gives_no_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The engine is broken where it is measured: in the fresh process."""
    (tmp_path / "sitecustomize.py").write_text(
        "from wyoming_qwen3.engine.lm.talker import Talker\n"
        "logits = Talker.logits\n"
        "Talker.logits = lambda self, hidden: -logits(self, hidden)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    file = tmp_path / "results.json"
    assert main([*OPTIONS, "--json", str(file)]) == 1
    text, results = capsys.readouterr().out, json.loads(file.read_text())
    assert "gate greedy_frames_equal_stock: FAILED" in text
    assert "nothing was measured" in text
    assert " ms" not in text
    assert set(results) == {"machine", "run", "gates"}
    assert not file.with_suffix(".png").exists()
    assert results["gates"]["greedy_frames_equal_stock"] is False


def test_the_streaming_gate_sees_a_codec_that_forgets(tiny: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    decode = CodecDecoder.decode
    monkeypatch.setattr(CodecDecoder, "decode", lambda self, codes, _: decode(self, codes, self.new_state()))
    assert check(tiny) == dict.fromkeys(GATES, True) | {"streamed_equals_whole": False}


def test_the_text_gate_sees_a_first_frame_without_text(tiny: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    embed = Talker.embed_text
    monkeypatch.setattr(Talker, "embed_text", lambda self, ids: 0 * embed(self, ids))
    passed = check(tiny)
    assert not passed["first_frame_depends_on_text"]
    assert not passed["greedy_frames_equal_stock"]


def test_the_steps_of_a_gpu_are_measured_part_by_part(tiny: Weights) -> None:
    """With the same parts a GPU has, called directly."""
    text, plain = text_for(tiny.open(), 8), Ours.load(tiny)
    assert isinstance(plain.codec, CodecDecoder)
    decoder = StaticDecoder(plain.published, plain.decoder.model, DirectCalls())
    ours = Ours(plain.published, decoder, static_codec(plain.codec, DirectCalls()))
    assert torch.equal(ours.greedy(text, 8), plain.greedy(text, 8))
    with ours.stopwatch() as seconds:
        times = ours.speak(text, 8, rows=2)
    assert 0 < times.first < times.last
    assert all(seconds[part] > 0 for part in ("talker", "predictor", "codec"))
    assert sum(seconds.values()) < times.last


def test_seed_gives_the_same_weights() -> None:
    first, second = (build_model(SIZES["tiny"], 0, "cpu", torch.float32).model.state_dict() for _ in range(2))
    assert all(torch.equal(weight, second[name]) for name, weight in first.items())


@pytest.mark.parametrize(("size", "millions"), [("0.6B", 1654.7), ("1.7B", 2658.1)])
def test_weights_read_for_a_frame(size: str, millions: float) -> None:
    """Talker and its head once, the code predictor 15 times with a head each; with a projection in the larger one."""
    assert parameters(frame_shapes(talker_config(SIZES[size]))) / 1e6 == pytest.approx(millions, abs=0.1)


def test_a_checkpoint_folder_is_measured_too(tmp_path: Path) -> None:
    weights = Weights("0.6B", build_checkpoint(tmp_path, "custom_voice"), "cpu", torch.float32)
    assert check(weights) == dict.fromkeys(GATES, True)


def test_other_kinds_of_checkpoints_are_refused(tmp_path: Path) -> None:
    weights = Weights("0.6B", build_checkpoint(tmp_path, "base"), "cpu", torch.float32)
    with pytest.raises(InvalidRequest, match="CustomVoice"):
        weights.open()


def test_speech_that_ends_early_is_no_figure(tmp_path: Path) -> None:
    """A tiny checkpoint's speech ends by itself, long before frames that are twice its text."""
    weights = Weights("0.6B", build_checkpoint(tmp_path, "custom_voice"), "cpu", torch.float32)
    text = text_for(weights.open(), 8)
    with pytest.raises(InvalidRequest, match=r"ended after \d+ of 500 frames"):
        Ours.load(weights).speak(text, 500)


@pytest.mark.parametrize("option", [["--against", "other"], ["--frames", "0"], ["--rows", "1,x"], ["--size", "7B"]])
def test_bad_options_are_refused(option: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*OPTIONS, *option])
    assert caught.value.code == 2

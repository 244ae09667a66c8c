"""The speed of a loaded checkpoint: measured once, kept beside it, and what the engine makes of it."""

import json
import logging
import math
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.tiny import build_checkpoint
from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.hardware import Selection
from wyoming_qwen3.core.request import Sampling, SpeechRequest
from wyoming_qwen3.core.speakers import SPEAKERS
from wyoming_qwen3.engine import cpu_speed, measured_here, native
from wyoming_qwen3.engine.cpu_load import CpuTimes
from wyoming_qwen3.engine.cpu_speed import Measurement, SpeedRecord, Speeds
from wyoming_qwen3.engine.native import NativeEngine
from wyoming_qwen3.engine.wire import Audio, Ended, Failed, Loaded, Submit

CUSTOM, LARGE = Checkpoint("custom_voice", "0.6B"), Checkpoint("custom_voice", "1.7B")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_checkpoint(tmp_path_factory.mktemp("speed") / CUSTOM.name, CUSTOM.kind)


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    """A checkpoint that nothing is known of yet."""
    return shutil.copytree(built, tmp_path / CUSTOM.name)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[float | Measurement]:
    """What is measured next, one after the other, in place of what the machine would do."""
    found: list[float | Measurement] = []

    def measure(*_: object) -> Measurement:
        speed = found.pop(0)
        return Measurement(speed, disturbed=False) if isinstance(speed, float) else speed

    monkeypatch.setattr(native, "measure_speed", measure)
    return found


def engine_with(folder: Path, quantize: str = "auto") -> NativeEngine:
    engine = NativeEngine("cpu", "auto", quantize, threads=1)
    engine.load(CUSTOM, folder)
    return engine


def kept(folder: Path) -> Mapping[str, float]:
    speeds: Mapping[str, float] = json.loads((folder / "speed.json").read_text())["times_real_time"]
    return speeds


QUIET = Measurement(1.0, disturbed=False)


def always() -> bool:
    return True


def test_it_is_measured_and_the_next_start_knows_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CpuTimes, "others_since", lambda *_: 0.0)  # as on a machine that does nothing else
    found = engine_with(folder, "int8").gauge(CUSTOM, always)
    assert found is not None
    assert found.weights == "int8"
    assert found.speed == kept(folder)["int8"] > 0
    again = NativeEngine("cpu", "auto", "int8", threads=1).load(CUSTOM, folder)
    assert again == found


@pytest.mark.parametrize("quantize", ["auto", "none", "int8", "int4"])
def test_a_load_tells_the_weights_and_measures_nothing(folder: Path, quantize: str) -> None:
    loaded = NativeEngine("cpu", "auto", quantize, threads=1).load(CUSTOM, folder)
    assert (loaded.weights, loaded.speed) == ({"auto": "int8", "none": "float32"}.get(quantize, quantize), None)
    assert not (folder / "speed.json").exists()


def test_measuring_gives_way(folder: Path) -> None:
    engine = engine_with(folder)
    assert engine.gauge(CUSTOM, lambda: False) is None
    spare = iter([True, True, True, False])
    assert engine.gauge(CUSTOM, lambda: next(spare)) is None
    assert not (folder / "speed.json").exists()
    assert engine.gauge(LARGE, always) is None


def test_an_error_of_the_last_chunk_is_not_lost(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CpuTimes, "others_since", lambda *_: 0.0)
    engine = engine_with(folder, "int8")
    codec: Any = engine._models[CUSTOM].codec.decoder
    decode, chunks, last = codec.decode, 0, math.inf

    def decode_and_count(*given: object) -> object:
        nonlocal chunks
        chunks += 1
        if chunks == last:
            raise RuntimeError("The last chunk failed.")
        return decode(*given)

    monkeypatch.setattr(codec, "decode", decode_and_count)
    assert engine.gauge(CUSTOM, always) is not None
    (folder / "speed.json").unlink()
    chunks, last = 0, chunks
    with pytest.raises(RuntimeError, match="The last chunk failed"):
        engine.gauge(CUSTOM, always)


def test_4_bits_replace_8_that_are_too_slow(folder: Path, measured: list[float | Measurement]) -> None:
    engine = engine_with(folder)
    before = engine.load(CUSTOM, folder).footprint
    measured += [0.76, 1.04]
    found = engine.gauge(CUSTOM, always)
    assert found is not None
    assert (found.weights, found.speed) == ("int4", 1.04)
    assert 0 < found.footprint < before
    assert kept(folder) == {"int8": 0.76, "int4": 1.04}
    assert engine.gauge(CUSTOM, always) == found
    assert engine_with(folder).load(CUSTOM, folder).weights == "int4"


def test_8_bits_stay_where_they_keep_up_or_4_are_no_faster(folder: Path, measured: list[float | Measurement]) -> None:
    engine = engine_with(folder)
    measured += [1.2]
    assert engine.gauge(CUSTOM, always) == Loaded(engine.load(CUSTOM, folder).footprint, "int8", 1.2)
    (folder / "speed.json").unlink()
    engine = NativeEngine("cpu", "auto", "auto", threads=1)
    whole = engine.load(CUSTOM, folder).footprint
    measured += [0.2, 0.19]
    assert engine.gauge(CUSTOM, always) == Loaded(whole, "int8", 0.2)


def test_what_a_person_wants_is_measured_and_stays(folder: Path, measured: list[float | Measurement]) -> None:
    measured += [0.3]
    found = engine_with(folder, "int8").gauge(CUSTOM, always)
    assert found is not None
    assert (found.weights, found.speed, measured) == ("int8", 0.3, [])


def test_rounding_gives_way_and_is_done_later(folder: Path, measured: list[float | Measurement]) -> None:
    engine = engine_with(folder)
    measured += [0.5, 0.9]
    spare = iter([True, False])
    assert engine.gauge(CUSTOM, lambda: next(spare)) is None
    assert not (folder / "packed-int4.safetensors").exists()
    found = engine.gauge(CUSTOM, always)
    assert found is not None
    assert (found.weights, found.speed) == ("int4", 0.9)


def test_without_memory_for_both_the_other_weights_wait_for_the_next_start(
    folder: Path, measured: list[float | Measurement], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_with(folder)
    measured += [0.5]
    monkeypatch.setattr(native, "free_memory", lambda _: 0)
    found = engine.gauge(CUSTOM, always)
    assert found is not None
    assert (found.weights, found.speed) == ("int8", 0.5)
    assert engine_with(folder).load(CUSTOM, folder).weights == "int4"


def test_a_disturbed_measurement_is_repeated_and_at_last_the_best_counts(
    folder: Path, measured: list[float | Measurement]
) -> None:
    engine = engine_with(folder, "int8")
    busy = [Measurement(speed, disturbed=True) for speed in (0.2, 0.9, 0.3, 0.4, 0.5)]
    measured += [*busy[:2], 1.3]
    assert [engine.gauge(CUSTOM, always) for _ in range(2)] == [None, None]
    found = engine.gauge(CUSTOM, always)
    assert found is not None
    assert found.speed == 1.3


def test_what_was_disturbed_is_measured_again_at_the_next_start(
    folder: Path, measured: list[float | Measurement]
) -> None:
    """It counts until then, and no longer than until something better can be compared with it."""
    engine = engine_with(folder, "int8")
    measured += [Measurement(speed, disturbed=True) for speed in (0.2, 0.9, 0.3, 0.4, 0.5)]
    assert [engine.gauge(CUSTOM, always) for _ in range(4)] == [None] * 4
    found = engine.gauge(CUSTOM, always)
    assert found is not None
    assert found.speed == 0.9
    assert engine.load(CUSTOM, folder).speed == 0.9
    later = NativeEngine("cpu", "auto", "auto", threads=1)
    assert later.load(CUSTOM, folder).speed is None
    measured += [1.0, Measurement(1.1, disturbed=True)]
    assert later.gauge(CUSTOM, always) is None  # int4, which was loaded, is known now; int8 was disturbed again
    assert kept(folder) == {"int4": 1.0}
    measured += [1.2]
    found = later.gauge(CUSTOM, always)
    assert found is not None
    assert (found.weights, found.speed) == ("int8", 1.2)


def test_a_speed_that_nothing_disturbed_drops_those_that_were(tmp_path: Path) -> None:
    busy = Measurement(0.1, disturbed=True)
    record = SpeedRecord.read(tmp_path, "avx2", 2).add("int8", busy).add("int4", busy)
    assert record == SpeedRecord.read(tmp_path, "avx2", 2)
    assert not record.sure("int8")
    record = record.add("int8", QUIET)
    assert record == SpeedRecord.read(tmp_path, "avx2", 2)
    assert record.speeds == {"int8": 1.0}
    assert record.sure("int8")


def test_a_row_that_is_open_keeps_its_weights(folder: Path, measured: list[float | Measurement]) -> None:
    """Its samples are those of a row that nothing happened to; the next row has the new weights."""

    def speak(engine: NativeEngine) -> Iterator[bytes]:
        request = SpeechRequest(SPEAKERS[0], sampling=Sampling(seed=1))
        engine.admit(Submit(1, CUSTOM, request, "The door is open, and the light is on.", live=False, credit=0))
        while True:
            for output in engine.step([1]):
                assert not isinstance(output, Failed), output
                if isinstance(output, Audio):
                    yield output.samples
                elif isinstance(output, Ended):
                    engine.cancel(1)
                    return

    plain = b"".join(speak(engine_with(folder)))
    coarse = b"".join(speak(engine_with(folder, "int4")))
    engine = engine_with(folder)
    row = speak(engine)
    first = next(row)
    measured += [0.5, 2.0]
    assert engine.gauge(CUSTOM, always) is not None
    assert first + b"".join(row) == plain != coarse
    assert b"".join(speak(engine)) == coarse


@pytest.mark.parametrize("content", ["", "{", "[]", '{"measured": {}}', '{"times_real_time": []}'], ids=repr)
def test_a_damaged_record_is_as_none(folder: Path, content: str) -> None:
    (folder / "speed.json").write_text(content)
    record = SpeedRecord.read(folder, "avx2", 2)
    assert record.speeds == {}
    record.add("int8", Measurement(1.23456, disturbed=False))
    assert SpeedRecord.read(folder, "avx2", 2).speeds == {"int8": 1.235}


def test_a_record_is_for_one_machine_and_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SpeedRecord.read(tmp_path, "avx2", 2).add("int8", QUIET).add("int4", Measurement(2.0, disturbed=False))
    assert SpeedRecord.read(tmp_path, "avx2", 2).speeds == {"int8": 1.0, "int4": 2.0}
    assert SpeedRecord.read(tmp_path, "plain", 2).speeds == {}
    assert SpeedRecord.read(tmp_path, "avx2", 1).speeds == {}
    with monkeypatch.context() as patched:
        patched.setattr(cpu_speed, "__version__", "0.0.0")
        assert SpeedRecord.read(tmp_path, "avx2", 2).speeds == {}
    monkeypatch.setattr(measured_here, "processor", lambda: "another")
    assert SpeedRecord.read(tmp_path, "avx2", 2).speeds == {}


def test_a_record_that_cant_be_written_is_only_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        record = SpeedRecord.read(tmp_path / "missing", "avx2", 2).add("int8", QUIET)
    assert record.speeds == {"int8": 1.0}
    assert "can't be written" in caplog.text


@pytest.mark.parametrize(("speed", "there", "size"), [(4.0, True, "1.7B"), (4.0, False, "0.6B"), (0.9, True, "0.6B")])
def test_the_size_follows_from_what_was_measured_and_is_on_disk(
    folder: Path, monkeypatch: pytest.MonkeyPatch, speed: float, *, there: bool, size: str
) -> None:
    monkeypatch.setattr(cpu_speed, "available_memory", lambda: 8 << 30)
    selection = Selection("cpu", "0.6B", "float32", "There is no GPU.")
    models_dir = folder.parent
    if there:
        shutil.copytree(folder, models_dir / LARGE.name)
    speeds = Speeds(("int8", "int4"), "avx2", 2)
    assert speeds.select_size(selection, models_dir) == selection
    SpeedRecord.read(folder, "avx2", 2).add("int8", Measurement(speed, disturbed=False))
    found = speeds.select_size(selection, models_dir)
    assert found.size == size
    assert ("1.7B" in found.why) == (size == "1.7B")
    monkeypatch.setattr(cpu_speed, "available_memory", lambda: 1 << 30)
    assert speeds.select_size(selection, models_dir) == selection

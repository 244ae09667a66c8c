"""One row's fault costs that row: the rows beside it sound as they do alone, wherever in a step it comes up."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.errors import EngineFailed
from wyoming_qwen3.core.request import ClonePrompt, Sampling, SpeechRequest
from wyoming_qwen3.engine.codec.decoder import CodecDecoder, CodecState
from wyoming_qwen3.engine.codec.gpu_decoder import StaticCodec
from wyoming_qwen3.engine.codec.layers import LayerHistory
from wyoming_qwen3.engine.lm import decode
from wyoming_qwen3.engine.lm.decode import Row
from wyoming_qwen3.engine.lm.gpu_decode import StaticDecoder
from wyoming_qwen3.engine.lm.gpu_slots import Slots
from wyoming_qwen3.engine.lm.transformer import KvCache
from wyoming_qwen3.engine.native import NativeEngine
from wyoming_qwen3.engine.wire import Audio, Ended, Failed, Output, Submit

BASE = Checkpoint("base", "0.6B")
TEXTS = {1: "The front door is open.", 2: "The light is on in the kitchen, and the window too.", 3: "Yes, it is warm."}
BAD = 2
WAYS = ("pytorch", "kernels", "slots")

Involved = Callable[..., bool]


@pytest.fixture
def engine(request: pytest.FixtureRequest, models_dir: Path) -> NativeEngine:
    """One that speaks by one of a CPU's two ways, or over slots as on a GPU."""
    engine = NativeEngine("cpu", "auto", "int8" if request.param == "kernels" else "none")
    engine._static = request.param == "slots"
    engine.load(BASE, models_dir / BASE.name)
    return engine


def admit(engine: NativeEngine, row: int, text: str, *, live: bool = False) -> None:
    embedding = np.random.default_rng(row).normal(0, 1, 32).astype(np.float32)
    request = SpeechRequest(ClonePrompt(embedding), sampling=Sampling(seed=row))
    engine.admit(Submit(row, BASE, request, text, live=live, credit=0))


def outputs(engine: NativeEngine, *rows: int) -> dict[int, list[Output]]:
    """All outputs of rows that are stepped together until each has ended."""
    found: dict[int, list[Output]] = {row: [] for row in rows}
    going = set(rows)
    for _ in range(1000):
        if not going:
            return found
        for output in engine.step(sorted(going)):
            assert not (isinstance(found[output.row][-1:], Failed | Ended)), "a row that is over is heard"
            found[output.row].append(output)
            if isinstance(output, Ended | Failed):
                going.discard(output.row)
                engine.cancel(output.row)
    raise AssertionError(f"Rows {going} never end.")


def samples(found: list[Output]) -> bytes:
    return b"".join(output.samples for output in found if isinstance(output, Audio))


def alone(engine: NativeEngine, row: int) -> bytes:
    admit(engine, row, TEXTS[row])
    return samples(outputs(engine, row)[row])


def assert_costs_one_row(engine: NativeEngine, found: dict[int, list[Output]], golden: dict[int, bytes]) -> None:
    last = found[BAD][-1]
    assert isinstance(last, Failed), last
    assert isinstance(last.error, EngineFailed)
    assert str(last.error).startswith("The engine failed in the middle of this audio (")
    for row, expected in golden.items():
        assert isinstance(found[row][-1], Ended), found[row][-1]
        heard = samples(found[row])
        assert len(heard) == len(expected)
        if engine.batch_invariant:
            assert heard == expected
        np.testing.assert_allclose(np.frombuffer(heard, np.float32), np.frombuffer(expected, np.float32), atol=5e-5)


@pytest.mark.parametrize("engine", ["kernels"], indirect=True)
def test_the_same_costs_its_row_where_only_the_predictor_draws(engine: NativeEngine) -> None:
    """The kernels themselves can't say what is wrong with a number: they would end the process."""
    engine._models[BASE].published.defaults["do_sample"] = False
    golden = {row: alone(engine, row) for row in TEXTS if row != BAD}
    for row in golden:
        admit(engine, row, TEXTS[row])
    request = SpeechRequest(ClonePrompt(np.full(32, np.nan, np.float32)), sampling=Sampling(seed=BAD))
    engine.admit(Submit(BAD, BASE, request, TEXTS[BAD], live=False, credit=0))
    assert_costs_one_row(engine, outputs(engine, *TEXTS), golden)


@pytest.mark.parametrize("engine", ["pytorch", "kernels"], indirect=True)
def test_a_voice_that_is_no_number_costs_its_own_row(engine: NativeEngine) -> None:
    """Its probabilities are no numbers either, which is found in a step that all rows share.

    Over slots nothing looks at a probability, so that nothing is raised.
    """
    golden = {row: alone(engine, row) for row in TEXTS if row != BAD}
    for row in golden:
        admit(engine, row, TEXTS[row])
    request = SpeechRequest(ClonePrompt(np.full(32, np.nan, np.float32)), sampling=Sampling(seed=BAD))
    engine.admit(Submit(BAD, BASE, request, TEXTS[BAD], live=False, credit=0))
    found = outputs(engine, *TEXTS)
    assert_costs_one_row(engine, found, golden)


def raising(real: Any, involved: Involved, *, after: int = 0, late: bool = False) -> Any:
    """A call that raises where the bad row is involved, from its so many-th time on: at once, or with its work done."""
    times = 0

    def call(*given: Any, **named: Any) -> Any:
        nonlocal times
        bad = involved(*given, **named)
        times += bad
        if not bad or times <= after:
            return real(*given, **named)
        if late:
            real(*given, **named)
        raise IndexError("list index out of range")

    return call


def bad_row(engine: NativeEngine) -> Row:
    return engine._speaking_rows[BAD].codes


def bad_speech(engine: NativeEngine) -> decode.Speech:
    speech = bad_row(engine).speech
    assert speech is not None
    return speech


def break_prefill(engine: NativeEngine, patch: pytest.MonkeyPatch) -> None:
    """When text that was fed is laid out."""
    builder, conditions = engine._models[BASE].decoder._prompts, bad_row(engine).conditions
    patch.setattr(builder, "build", raising(builder.build, lambda given, *_, **__: given is conditions))


def break_talker(engine: NativeEngine, patch: pytest.MonkeyPatch) -> None:
    """When the last frame was taken from its place, and before the talker's layers."""
    cache = bad_speech(engine).cache
    patch.setattr(KvCache, "reserve", raising(KvCache.reserve, lambda one, _: one is cache, after=3))


def break_layers(engine: NativeEngine, patch: pytest.MonkeyPatch) -> None:
    """Behind the talker's layers, which have written keys and values."""
    talker, cache = engine._models[BASE].decoder.model.talker, bad_speech(engine).cache
    real, begun = talker.transformer, {"length": 0}

    def late(x: Tensor, caches: Sequence[KvCache]) -> Tensor:
        lengths = [one.length for one in caches]
        states: Tensor = real(x, caches)
        begun["length"] += cache in caches
        if cache in caches and begun["length"] > 3:
            for one, length in zip(caches, lengths, strict=True):
                one.length = length  # a stack counts positions when all is done
            raise IndexError("list index out of range")
        return states

    patch.setattr(type(talker), "advance", lambda _, x, caches: late(x, caches)[:, -1])


def break_draw(engine: NativeEngine, patch: pytest.MonkeyPatch) -> None:
    """When the first code of the frame is drawn, and those of the rows before."""
    sampler = bad_row(engine).sampler
    patch.setattr(sampler, "draw", raising(sampler.draw, lambda _: True, after=2, late=True))


def break_predictor(engine: NativeEngine, patch: pytest.MonkeyPatch) -> None:
    """When all codes of the frame are drawn."""
    decoder, sampler = engine._models[BASE].decoder, bad_row(engine).sampler
    frame = raising(decoder._predictor.frame, lambda *given: sampler in given[2], after=4, late=True)
    patch.setattr(type(decoder._predictor), "frame", lambda _, *given: frame(*given))


def break_codec(engine: NativeEngine, patch: pytest.MonkeyPatch) -> None:
    """At its last layer, when all layers before have moved on."""
    decoder, sound = engine._models[BASE].codec.decoder, engine._speaking_rows[BAD].sound
    assert isinstance(decoder, CodecDecoder)
    states: list[CodecState] = []  # those that this sound has had: after a failed try it goes on with a copy

    def involved(_: Tensor, given: Sequence[LayerHistory]) -> bool:
        states.append(sound.state)
        return any(state.decode_out in given for state in states)

    patch.setattr(decoder, "_decode_out", raising(decoder._decode_out, involved, after=2))


def break_ear(engine: NativeEngine, patch: pytest.MonkeyPatch) -> None:
    guard = engine._speaking_rows[BAD].guard
    patch.setattr(guard, "check", raising(guard.check, lambda _: True, after=1))


def break_end(engine: NativeEngine, patch: pytest.MonkeyPatch) -> None:
    guard = engine._speaking_rows[BAD].guard
    patch.setattr(guard, "rest", raising(guard.rest, lambda: True))


def slots_of(engine: NativeEngine) -> Slots:
    decoder = engine._models[BASE].decoder
    assert isinstance(decoder, StaticDecoder)
    return decoder.slots


def break_put(engine: NativeEngine, patch: pytest.MonkeyPatch) -> None:
    """When the row is to take a slot."""
    slots, sampler = slots_of(engine), bad_row(engine).sampler
    patch.setattr(slots, "put", raising(slots.put, lambda *given: given[-1] is sampler, late=True))


def break_roll(engine: NativeEngine, patch: pytest.MonkeyPatch) -> None:
    """When its numbers are drawn."""
    slots, sampler = slots_of(engine), bad_row(engine).sampler
    patch.setattr(slots, "roll", raising(slots.roll, lambda _, given: given is sampler, after=4, late=True))


def break_static_codec(engine: NativeEngine, patch: pytest.MonkeyPatch) -> None:
    decoder, sound = engine._models[BASE].codec.decoder, engine._speaking_rows[BAD].sound
    patch.setattr(
        StaticCodec, "decode", raising(StaticCodec.decode, lambda *g: g[-1] is sound.state, after=2, late=True)
    )
    assert isinstance(decoder, StaticCodec)


ANYWHERE = (break_prefill, break_ear, break_end)
ROWS = (*ANYWHERE, break_talker, break_layers, break_draw, break_predictor, break_codec)
SLOTS = (*ANYWHERE, break_put, break_roll, break_static_codec)
CASES = [(way, where) for way in WAYS for where in (SLOTS if way == "slots" else ROWS)]


@pytest.mark.parametrize(
    ("engine", "break_it"), CASES, indirect=["engine"], ids=[f"{way}-{where.__name__}" for way, where in CASES]
)
def test_an_error_costs_its_own_row(
    engine: NativeEngine, monkeypatch: pytest.MonkeyPatch, break_it: Callable[..., None]
) -> None:
    golden = {row: alone(engine, row) for row in TEXTS if row != BAD}
    later = break_it is break_prefill
    for row, text in TEXTS.items():
        admit(engine, row, "" if later and row == BAD else text, live=later)
    break_it(engine, monkeypatch)
    if later:
        engine.add_text(BAD, TEXTS[BAD])
        for row in TEXTS:
            engine.end_text(row)
    assert_costs_one_row(engine, outputs(engine, *TEXTS), golden)


@pytest.mark.parametrize("engine", ["slots"], indirect=True)
def test_a_launch_that_fails_costs_the_rows_that_were_to_speak(
    engine: NativeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows what has become of their slots; those of rows that paused were not touched, and are free again."""
    golden = {row: alone(engine, row) for row in TEXTS}
    for row, text in TEXTS.items():
        admit(engine, row, text)
    heard = [output for _ in range(6) for output in engine.step(list(TEXTS))]
    slots = slots_of(engine)
    with monkeypatch.context() as patch:
        patch.setattr(slots, "frame", raising(slots.frame, lambda _: True, late=True))
        failed = list(engine.step([1, BAD]))
    assert {(type(output), output.row) for output in failed} == {(Failed, 1), (Failed, BAD)}
    engine.cancel(1)
    engine.cancel(BAD)
    rest = outputs(engine, 3)[3]
    assert samples([output for output in heard if output.row == 3] + rest) == golden[3]
    assert alone(engine, BAD) == golden[BAD]

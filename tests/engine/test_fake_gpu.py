"""The steps of a GPU, and what opens a row on one, on tensors that only say that they are there.

Values and replays are the matter of test_gpu_decode and test_gpu_decoder. Here it is devices: what a step is given from
the host, what it makes there, and what it would wait for.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from wyoming_qwen3.core.checkpoints import Kind, Size
from wyoming_qwen3.core.request import ClonePrompt, Sampling, SpeechRequest, Voice
from wyoming_qwen3.core.speakers import SPEAKERS
from wyoming_qwen3.engine.checkpoint.published import PublishedCodec, open_codec
from wyoming_qwen3.engine.codec.decoder import CodecDecoder, CodecState
from wyoming_qwen3.engine.codec.gpu_decoder import StaticCodec
from wyoming_qwen3.engine.lm import gpu_decode
from wyoming_qwen3.engine.lm.decode import Decoder, Row
from wyoming_qwen3.engine.lm.gpu_decode import StaticDecoder
from wyoming_qwen3.engine.lm.gpu_slots import Slots
from wyoming_qwen3.engine.lm.language_model import load_static

from .conftest import LoadPair
from .fake_gpu import CantBeCaptured, Captures, Waits, Watch, fake_device, faked, faking

TEXT = "The quick brown fox jumps over the lazy dog."
RYAN = SPEAKERS[0]
SIZES: tuple[Size, ...] = ("0.6B", "1.7B")
Load = Callable[..., StaticDecoder]


@pytest.fixture(scope="module")
def gpu() -> str:
    return fake_device()


@pytest.fixture(scope="module")
def mode() -> FakeTensorMode:
    return FakeTensorMode()


@pytest.fixture(scope="module")
def load(pairs: LoadPair, gpu: str) -> Load:
    """Load a checkpoint; they are written beforehand, with real tensors."""
    kept = {("base", "0.6B"): faked(pairs("base", "0.6B").published)}
    kept |= {("custom_voice", size): faked(pairs("custom_voice", size).published) for size in SIZES}

    loaded: dict[tuple[Kind, Size], StaticDecoder] = {}

    def load(
        kind: Kind = "custom_voice",
        size: Size = "0.6B",
        dtype: torch.dtype = torch.bfloat16,
        graphs: Captures | None = None,
        *,
        fresh: bool = False,
    ) -> StaticDecoder:
        if fresh or (kind, size) not in loaded:
            decoder = load_static(kept[kind, size], gpu, dtype, graphs or Captures()).decoder
            assert isinstance(decoder, StaticDecoder)
            if fresh:
                return decoder
            loaded[kind, size] = decoder
        return loaded[kind, size]

    return load


@pytest.fixture(scope="module")
def codec(pairs: LoadPair) -> PublishedCodec:
    published: PublishedCodec = faked(open_codec(pairs("custom_voice", "0.6B").path / "speech_tokenizer"))
    return published


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """What a decoder reads back, of which each code is 1."""
    asked: list[Tensor] = []

    def read_back(tensor: Tensor) -> Callable[[], Any]:
        asked.append(tensor)
        return lambda: np.ones(tuple(tensor.shape), np.int64)

    monkeypatch.setattr(gpu_decode, "read_back", read_back)
    return asked


def cloned() -> ClonePrompt:
    return ClonePrompt(np.ones(32, np.float32), np.ones((9, 16), np.int64), "A clip.")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("size", SIZES)
def test_steps_of_the_language_model_stay_on_the_device(
    load: Load, mode: FakeTensorMode, dtype: torch.dtype, size: Size
) -> None:
    graphs = Captures()
    with faking(mode):
        load(size=size, dtype=dtype, graphs=graphs, fresh=True)
    captured = {what: len(steps) for what, steps in graphs.captured.items()}
    assert captured == {"the talker": 12, "the code predictor": 4, "the prefill": 6}


def test_steps_of_the_codec_stay_on_the_device(codec: PublishedCodec, mode: FakeTensorMode, gpu: str) -> None:
    graphs = Captures()
    with faking(mode):
        StaticCodec(CodecDecoder(codec.decoder(gpu), codec.config), graphs)
    assert graphs.captured == {"the codec": [4, 2, 1]}


@pytest.mark.parametrize("whole", [True, False], ids=["whole text", "word by word"])
@pytest.mark.parametrize(
    ("checkpoint", "voice"),
    [(("custom_voice", "0.6B"), RYAN), (("custom_voice", "1.7B"), RYAN), (("base", "0.6B"), cloned())],
    ids=["0.6B", "1.7B", "cloned"],
)
def test_opening_and_stepping_rows_never_waits(
    load: Load, mode: FakeTensorMode, read: list[Tensor], checkpoint: tuple[Kind, Size], *, voice: Voice, whole: bool
) -> None:
    """Opened, seated, stepped in all numbers of rows; one by one they leave."""
    request = SpeechRequest(voice, sampling=Sampling(seed=1))
    with faking(mode):
        decoder = load(*checkpoint)
        rows: list[Row] = []
        with Watch():
            for number in range(9):
                rows.append(decoder.admit(request, text=TEXT, finished=number % 2 == 0, streaming_text=not whole))
                decoder.step(rows)
            while rows:
                rows.pop().end("limit")
                decoder.step(rows)
    assert {len(codes) for codes in read} == {1, 2, 4, 8}
    assert {codes.device.type for codes in read} == {fake_device()}


@pytest.mark.usefixtures("read")
def test_a_step_of_seated_rows_allocates_nothing(load: Load, mode: FakeTensorMode) -> None:
    """All that is left on the host's side of a step are numbers, random ones among them, put where they belong."""
    request = SpeechRequest(RYAN, sampling=Sampling(seed=1))
    with faking(mode):
        decoder = load()
        rows = [decoder.admit(request, text=TEXT) for _ in range(3)]
        decoder.step(rows)
        with Watch() as watch:
            decoder.step(rows)
    assert watch.allocated == {}


@pytest.mark.parametrize("positions", [1, 16, 50, 300])
def test_a_prefill_waits_for_nothing_and_allocates_nothing(load: Load, mode: FakeTensorMode, positions: int) -> None:
    with faking(mode):
        decoder = load()
        prompt = torch.empty(positions, 32, dtype=torch.bfloat16, device=fake_device())
        with torch.inference_mode(), Watch() as watch:
            decoder.slots.prefill(5, 9, prompt)
    assert watch.allocated == {}


def test_opening_a_row_of_a_known_voice_is_a_few_launches(load: Load, mode: FakeTensorMode) -> None:
    """Its text's embeddings, a replay, and the copies of what is known; they are all that is allocated."""
    request = SpeechRequest(RYAN, sampling=Sampling(seed=1))
    with faking(mode):
        decoder = load(fresh=True)
        decoder.admit(request, text=TEXT).end("limit")
        with Watch() as watch:
            row = decoder.admit(request, text=TEXT)
    assert row.speech is not None
    assert row.speech.cache.capacity == 0
    assert watch.launches < 60
    assert sum(watch.allocated.values()) < 100_000


def test_a_known_voice_is_not_computed_again(load: Load, mode: FakeTensorMode, monkeypatch: pytest.MonkeyPatch) -> None:
    """What tells one voice from another is known to the host: ids, and the numbers of a cloned voice."""
    embedding = np.ones(32, np.float32)
    voices = [ClonePrompt(embedding), ClonePrompt(embedding.copy()), ClonePrompt(embedding * 2)]
    calls: list[int] = []
    prefill = Slots.prefill

    def spy(self: Slots, slot: int, start: int, embeddings: Tensor) -> Tensor:
        calls.append(len(embeddings))
        return prefill(self, slot, start, embeddings)

    monkeypatch.setattr(Slots, "prefill", spy)
    with faking(mode):
        decoder = load("base")
        decoder.forget()
        found = []
        for voice in voices:
            calls.clear()
            decoder.admit(SpeechRequest(voice), text=TEXT, streaming_text=True)
            found.append(len(calls))
    assert found == [1, 0, 1]


def test_other_tests_do_not_find_the_fake_device(gpu: str) -> None:
    """What they do with random numbers, or with whatever accelerator there is, is done as without it."""
    assert torch._C._get_privateuse1_backend_name() == gpu
    found = torch.accelerator.current_accelerator(check_available=True)
    assert found is None or found.type != gpu
    with torch.random.fork_rng():
        torch.manual_seed(1)


# Planted faults


def planted_draw(self: Slots, rows: int) -> None:
    self._noise[:rows].exponential_()


def planted_value(self: Slots, rows: int) -> None:
    if self._parts[0, 0] > 0:
        self.codes[:rows].zero_()


def planted_copy(self: Slots, rows: int) -> None:
    self.codes[:rows].copy_(torch.zeros(rows, 16, dtype=torch.int64))


def planted_mask(self: Slots, _: int) -> None:
    self.sums[self._parts[3].bool()] = 0


@pytest.mark.parametrize("planted", [planted_draw, planted_value, planted_copy, planted_mask])
def test_what_can_not_be_captured_is_found_out(
    load: Load, mode: FakeTensorMode, monkeypatch: pytest.MonkeyPatch, planted: Callable[[Slots, int], None]
) -> None:
    monkeypatch.setattr(Slots, "_frame", planted)
    with faking(mode), pytest.raises(CantBeCaptured, match=r"is_nonzero|exponential_|zeros|mask"):
        load(fresh=True)


def test_a_tensor_left_on_the_host_is_found_out(
    load: Load, mode: FakeTensorMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    allocate = Slots._allocate

    def planted(self: Slots) -> None:
        allocate(self)
        self._banned = self._banned.cpu()

    monkeypatch.setattr(Slots, "_allocate", planted)
    with faking(mode), pytest.raises(RuntimeError, match=r"two devices|different devices"):
        load(fresh=True)


def test_a_state_of_the_codec_on_the_host_is_found_out(
    codec: PublishedCodec, mode: FakeTensorMode, gpu: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_state = CodecDecoder.new_state

    def planted(self: CodecDecoder) -> CodecState:
        state = new_state(self)
        transformer: Any = state.transformer
        return replace(state, transformer=replace(transformer, position=transformer.position.cpu()))

    monkeypatch.setattr(CodecDecoder, "new_state", planted)
    with faking(mode):
        decoder = CodecDecoder(codec.decoder(gpu), codec.config)
        with pytest.raises((RuntimeError, CantBeCaptured)):
            StaticCodec(decoder, Captures())


def planted_read(decoder: StaticDecoder) -> None:
    int(decoder.slots.codes[0, 0])


def planted_upload(decoder: StaticDecoder) -> None:
    decoder.slots.codes.copy_(torch.zeros(8, 16, dtype=torch.int64))


def planted_download(decoder: StaticDecoder) -> None:
    decoder.slots.codes.cpu()


def planted_hash(decoder: StaticDecoder) -> None:
    torch.equal(decoder.slots.text, decoder.slots.sums)


@pytest.mark.usefixtures("read")
@pytest.mark.parametrize("planted", [planted_read, planted_upload, planted_download, planted_hash])
def test_what_waits_in_opening_a_row_or_in_a_step_is_found_out(
    load: Load, mode: FakeTensorMode, monkeypatch: pytest.MonkeyPatch, planted: Callable[[StaticDecoder], None]
) -> None:
    with faking(mode):
        decoder = load()
        prefill = Decoder._prefill

        def slow(self: Decoder, row: Row) -> None:
            planted(decoder)
            prefill(self, row)

        monkeypatch.setattr(Decoder, "_prefill", slow)
        with Watch(), pytest.raises(Waits):
            decoder.admit(SpeechRequest(RYAN), text=TEXT)


@pytest.mark.usefixtures("read")
def test_an_allocation_in_a_step_is_found_out(
    load: Load, mode: FakeTensorMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    advance = Slots.advance

    def planted(self: Slots, parts: Any) -> int:
        self.text.clone()
        return advance(self, parts)

    monkeypatch.setattr(Slots, "advance", planted)
    with faking(mode):
        decoder = load()
        rows = [decoder.admit(SpeechRequest(RYAN), text=TEXT)]
        decoder.step(rows)
        with Watch() as watch:
            decoder.step(rows)
    assert list(watch.allocated) == ["clone"]

"""What is compared: this project's engine and stock qwen-tts, each speaking a fixed number of frames.

Knows how to load and drive each of them on the same weights; does NOT know processes, tables or what is expected.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from wyoming_qwen3.core.cpu_speed import Quantize
from wyoming_qwen3.core.errors import EngineFailed, InvalidRequest
from wyoming_qwen3.core.request import FRAME_SAMPLES, SAMPLE_RATE, Sampling, SpeechRequest
from wyoming_qwen3.core.speakers import find_language, find_voice
from wyoming_qwen3.engine.checkpoint.published import Published, open_checkpoint, open_codec
from wyoming_qwen3.engine.codec.chunks import FrameDecoder, chunk_frames
from wyoming_qwen3.engine.codec.decoder import CodecDecoder, CodecState
from wyoming_qwen3.engine.codec.gpu_decoder import static_codec
from wyoming_qwen3.engine.codec.thread import CodecThread
from wyoming_qwen3.engine.cuda_graphs import choose_graphs
from wyoming_qwen3.engine.kernels.library import Kernels, load_kernels
from wyoming_qwen3.engine.lm.decode import Decoder, Row
from wyoming_qwen3.engine.lm.fused.choice import choose_fused
from wyoming_qwen3.engine.lm.gpu_slots import Slots
from wyoming_qwen3.engine.lm.language_model import load_exact, load_quantized, load_static
from wyoming_qwen3.engine.lm.talker import Talker
from wyoming_qwen3.engine.lm.text_track import encode
from wyoming_qwen3.engine.native import CODEC_BITS
from wyoming_qwen3.engine.step import CHUNKS_AT_ONCE

from .random_weights import SIZES, write_checkpoint
from .upstream import load_checkpoint, load_speech_tokenizer

SPEAKER, LANGUAGE = "ryan", "english"
"""What everything is measured with."""

_PASSAGE = "The quick brown fox jumps over the lazy dog, and nobody in the whole house minds it very much. "
_SEED = 0


@dataclass(frozen=True)
class Weights:
    """Which weights are measured, and how: `checkpoint` is a folder, None for random weights of `size`.

    `quantize` concerns our language model alone, and needs a folder; on a GPU int8 is for fused steps. `kind` is that
    of our CPU kernels, None for the fastest, and `codec` the codec's weights with them; `graphs` concerns ours on a
    GPU.
    """

    size: str
    checkpoint: Path | None
    device: str
    dtype: torch.dtype
    quantize: Quantize = "none"
    graphs: bool = True
    kind: str | None = None
    codec: str = "int16"

    @contextmanager
    def on_disk(self) -> Iterator["Weights"]:
        """The same weights in a folder, which is there as long as this is open."""
        if self.checkpoint is not None:
            yield self
            return
        with TemporaryDirectory(prefix="wyoming-qwen3-bench-") as folder:
            write_checkpoint(Path(folder), SIZES[self.size], _SEED)
            yield replace(self, checkpoint=Path(folder))

    @property
    def folder(self) -> Path:
        """Where they are on disk."""
        assert self.checkpoint is not None
        return self.checkpoint

    def load_kernels(self) -> Kernels:
        """Our CPU kernels. Raises EngineFailed if they are not compiled, or can't run here."""
        kernels = load_kernels(torch.get_num_threads(), self.kind)
        if kernels is None:
            what = f"The CPU kernels of kind {self.kind}" if self.kind else "The CPU kernels"
            raise EngineFailed(
                f"{what} are not compiled, or can't run here: run python -m wyoming_qwen3.engine.kernels."
            )
        return kernels

    def open(self) -> Published:
        """The checkpoint. Raises ModelFailed, and InvalidRequest if it is not a CustomVoice one."""
        published = open_checkpoint(self.folder)
        if published.kind != "custom_voice":
            raise InvalidRequest(f"The checkpoint must be a CustomVoice one, but is {published.kind}.")
        return published


def kind_here(weights: Weights) -> str | None:
    """The kind of our CPU kernels that these weights are measured with; None without. Raises EngineFailed."""
    return None if weights.quantize == "none" else weights.load_kernels().kind


def text_for(published: Published, frames: int) -> str:
    """Text of at least half as many tokens as frames: twice what they can speak, so that speech goes on to the end."""
    text, tokenizer = _PASSAGE, published.tokenizer
    while len(encode(tokenizer, text)) < 2 * frames:
        text += _PASSAGE
    words = text.split()
    while len(words) > 1 and len(encode(tokenizer, " ".join(words[:-1]))) >= max(8, frames // 2):
        words.pop()
    return " ".join(words)


def other_speakers(published: Published) -> list[str]:
    """Whom a CustomVoice checkpoint has beside the one that all else is measured with."""
    return [name for name in published.config.talker_config.spk_id if name != SPEAKER]


@dataclass(frozen=True)
class Times:
    """Seconds from the call to the first samples in the host's memory, and to the last."""

    first: float
    last: float


@dataclass(eq=False)
class _Stream:
    row: Row
    state: CodecState
    gathered: list[Tensor]
    frames: int = 0
    chunks: int = 0
    chunk: Future[bytes] | None = None
    """The last chunk, which may still be decoded."""


class Ours:
    """Prompts, decode loop and streaming codec of this project, without the process that they serve in."""

    def __init__(
        self, published: Published, decoder: Decoder, codec: FrameDecoder, thread: CodecThread | None = None
    ) -> None:
        """Without `thread`, nothing is decoded beside the language model."""
        self.published = published
        self.decoder = decoder
        self.codec = codec
        self._thread = thread or CodecThread(None, None)
        self._in_turn = False
        self._device = self.decoder.model.talker.device

    @classmethod
    def load(cls, weights: Weights) -> "Ours":
        """As it serves: language model and codec as quantized as the weights say."""
        published, codec = weights.open(), open_codec(weights.folder / "speech_tokenizer")
        kernels = codec_kernels = None
        graphs = choose_graphs(weights.device, wanted=weights.graphs)
        if weights.device == "cpu" and weights.quantize != "none":
            kernels, codec_kernels = weights.load_kernels(), weights.load_kernels()
            torch.set_num_threads(1)
            loaded = load_quantized(published, weights.quantize, kernels)
        elif weights.device == "cpu":
            loaded = load_exact(published, weights.device, weights.dtype)
        else:
            fuse = choose_fused(weights.device) if weights.graphs else None
            rounded = weights.quantize == "int8"
            loaded = load_static(published, weights.device, weights.dtype, graphs, fuse, rounded=rounded)
        read, bits = codec.decoder(weights.device), CODEC_BITS[weights.codec]
        decoder = CodecDecoder(read, codec.config, kernels=codec_kernels, bits=bits)
        frames = decoder if weights.device == "cpu" else static_codec(decoder, graphs)
        return cls(published, loaded.decoder, frames, CodecThread(kernels, codec_kernels))

    def speak(
        self,
        text: str,
        frames: int,
        *,
        rows: int = 1,
        chunk: Callable[[int], int] = chunk_frames,
        seed: int = 0,
        speaker: str = SPEAKER,
    ) -> Times:
        """Speak `rows` utterances side by side; `chunk` tells the frames of each chunk by its number.

        Raises InvalidRequest where speech ends before `frames`.
        """
        start, first = perf_counter(), None
        streams = {stream.row: stream for stream in (self._open(text, seed + row, speaker) for row in range(rows))}
        while streams:
            for frame in self.decoder.step(list(streams)):
                stream = streams[frame.row]
                if frame.codes is None:
                    raise _too_short(stream.frames, frames)
                stream.gathered.append(frame.codes)
                stream.frames += 1
            for together in _with_a_chunk(streams.values(), frames, chunk):
                self._decode(together, last=any(stream.frames == frames for stream in together))
                first = first or perf_counter() - start
            streams = {row: stream for row, stream in streams.items() if stream.frames < frames}
        last = perf_counter() - start
        return Times(first or last, last)

    def greedy(self, text: str, frames: int) -> Tensor:
        """The likeliest codes, int64 [frames, 16] on the host."""
        row = self.decoder.admit(_request(Sampling(temperature=0.0)), text=text)
        codes: list[Tensor] = []
        while len(codes) < frames and row.can_advance:
            codes += [frame.codes for frame in self.decoder.step([row]) if frame.codes is not None]
        return torch.stack(codes).cpu()

    @contextmanager
    def stopwatch(self) -> Iterator[dict[str, float]]:
        """Seconds spent in each part while this is open; waits for the device after each call.

        Nothing is decoded beside the language model then.
        """
        self._in_turn = True
        with _stopwatch(
            self._device,
            ("talker", Talker, "advance"),
            ("talker", Talker, "logits"),
            ("talker", Slots, "talk"),
            ("predictor", Slots, "frame"),
            ("predictor", type(self.decoder.model.predictor), "frame"),
            ("codec", type(self.codec), "decode_together"),
        ) as seconds:
            yield seconds
        self._in_turn = False

    def _open(self, text: str, seed: int, speaker: str) -> _Stream:
        row = self.decoder.admit(_request(Sampling(seed=seed), speaker), text=text)
        return _Stream(row, self.codec.new_state(), [])

    def _decode(self, streams: Sequence[_Stream], *, last: bool) -> None:
        """Decode the gathered frames, beside the next steps where the engine does that too."""
        for stream in streams:
            if stream.chunk:
                self._thread.wait(stream.chunk)
        codes = torch.stack([torch.stack(stream.gathered) for stream in streams])
        at_once = last or self._in_turn or any(stream.chunks < CHUNKS_AT_ONCE for stream in streams)
        chunk = self._thread.start(partial(self._samples, codes, [stream.state for stream in streams]), at_once=at_once)
        if at_once:
            self._thread.wait(chunk)
        for stream in streams:
            stream.gathered.clear()
            stream.chunks, stream.chunk = stream.chunks + 1, chunk

    def _samples(self, codes: Tensor, states: Sequence[CodecState]) -> bytes:
        """Samples in the host's memory; reading them waits for the device."""
        return self.codec.decode_together(codes, states).cpu().numpy().tobytes()


def _with_a_chunk(streams: Iterable[_Stream], frames: int, chunk: Callable[[int], int]) -> Iterable[list[_Stream]]:
    """Streams that have a chunk, or all of their frames; those of as many frames together."""
    ready: dict[int, list[_Stream]] = {}
    for stream in streams:
        if stream.frames == frames or len(stream.gathered) >= chunk(stream.chunks):
            ready.setdefault(len(stream.gathered), []).append(stream)
    return ready.values()


class Stock:
    """qwen-tts as it comes: its own generate method, which gives all samples at the end."""

    def __init__(self, weights: Weights) -> None:
        """In the weights' precision, as the codec is too."""
        upstream = load_checkpoint(weights.folder, weights.device, weights.dtype)
        tokenizer = load_speech_tokenizer(weights.folder / "speech_tokenizer", weights.device, weights.dtype)
        qwen_tts: Any = import_module("qwen_tts")
        processor = import_module("qwen_tts.core.models").Qwen3TTSProcessor(tokenizer=upstream.tokenizer)
        upstream.model.load_speech_tokenizer(tokenizer)
        self._model = qwen_tts.Qwen3TTSModel(upstream.model, processor, upstream.defaults)
        self._tokenizer = tokenizer
        self.codec: Any = tokenizer.model.decoder
        """Its decoder of codes."""

    def speak(self, text: str, frames: int, *, rows: int = 1, seed: int = 0) -> Times:
        """Speak `rows` utterances in one batch. Raises InvalidRequest where speech ends before `frames`."""
        torch.manual_seed(seed)
        start = perf_counter()
        waves = self._generate([text] * rows, frames)
        last = perf_counter() - start
        if short := [len(wave) for wave in waves if len(wave) != frames * FRAME_SAMPLES]:
            raise _too_short(short[0] // FRAME_SAMPLES, frames)
        return Times(last, last)

    def greedy(self, text: str, frames: int) -> Tensor:
        """The likeliest codes, int64 [frames, 16] on the host."""
        caught: list[Tensor] = []

        def catch(batch: Sequence[dict[str, Tensor]]) -> Any:
            caught.append(batch[0]["audio_codes"].cpu())
            return [np.zeros(0, np.float32)], SAMPLE_RATE

        with patch.object(self._tokenizer, "decode", catch):
            self._generate([text], frames, do_sample=False, subtalker_dosample=False)
        return caught[0]

    @contextmanager
    def stopwatch(self) -> Iterator[dict[str, float]]:
        """Seconds spent in each part while this is open; waits for the device after each call."""
        talker = self._model.model.talker
        with _stopwatch(
            self._model.device,
            ("talker", talker.model, "forward"),
            ("predictor", talker.code_predictor, "generate"),
            ("codec", self._tokenizer, "decode"),
        ) as seconds:
            yield seconds

    def _generate(self, texts: list[str], frames: int, **options: Any) -> list[np.ndarray[Any, Any]]:
        who = [SPEAKER] * len(texts), [LANGUAGE] * len(texts)
        # It computes a frame's codes at the start of the next step, so the last of N + 1 tokens gives no frame.
        waves, _ = self._model.generate_custom_voice(texts, *who, max_new_tokens=frames + 1, **options)
        return list(waves)


def _request(sampling: Sampling, speaker: str = SPEAKER) -> SpeechRequest:
    return SpeechRequest(find_voice(speaker)[0], find_language(LANGUAGE), sampling=sampling)


def _too_short(got: int, wanted: int) -> InvalidRequest:
    return InvalidRequest(f"The speech ended after {got} of {wanted} frames; give a smaller --frames.")


@contextmanager
def _stopwatch(device: torch.device, *parts: tuple[str, Any, str]) -> Iterator[dict[str, float]]:
    """Time methods, each given as (part, owner, name), by putting timed ones in their place."""
    seconds = {part: 0.0 for part, _, _ in parts}
    with ExitStack() as stack:
        for part, owner, name in parts:
            timed = _timed(getattr(owner, name), seconds, part, device)
            stack.enter_context(patch.object(owner, name, timed))
        yield seconds


def _timed(method: Callable[..., Any], seconds: dict[str, float], part: str, device: torch.device) -> Any:
    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    def timed(*given: Any, **named: Any) -> Any:
        wait()
        start = perf_counter()
        result = method(*given, **named)
        wait()
        seconds[part] += perf_counter() - start
        return result

    return timed

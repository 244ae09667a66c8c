"""What is compared: this project's engine and stock qwen-tts, each speaking a fixed number of frames.

Knows how to load and drive each of them on the same weights; does NOT know processes, tables or what is expected.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from wyoming_qwen3.engine.codec import CodecDecoder, CodecState
from wyoming_qwen3.engine.decode import Decoder, Row
from wyoming_qwen3.engine.kernels.library import load_kernels
from wyoming_qwen3.engine.language_model import Quantize, load_quantized
from wyoming_qwen3.engine.sound import chunk_frames
from wyoming_qwen3.engine.talker import Talker
from wyoming_qwen3.engine.text_track import encode
from wyoming_qwen3.engine.upstream import Upstream, load_checkpoint, load_speech_tokenizer
from wyoming_qwen3.errors import EngineFailed, InvalidRequest
from wyoming_qwen3.request import FRAME_SAMPLES, SAMPLE_RATE, Sampling, SpeechRequest
from wyoming_qwen3.voices import find_language, find_voice

from .random_weights import SIZES, build_model, build_speech_tokenizer, write_checkpoint

_PASSAGE = "The quick brown fox jumps over the lazy dog, and nobody in the whole house minds it very much. "
_SPEAKER, _LANGUAGE = "ryan", "english"
_SEED = 0


@dataclass(frozen=True)
class Weights:
    """Which weights are measured, and how: `checkpoint` is a folder, None for random weights of `size`.

    `quantize` concerns our language model alone, and needs a folder.
    """

    size: str
    checkpoint: Path | None
    device: str
    dtype: torch.dtype
    quantize: Quantize = "none"

    @contextmanager
    def on_disk(self) -> Iterator["Weights"]:
        """The same weights in a folder, which is there as long as this is open."""
        if self.checkpoint is not None:
            yield self
            return
        with TemporaryDirectory(prefix="wyoming-qwen3-bench-") as folder:
            write_checkpoint(Path(folder), SIZES[self.size], _SEED)
            yield replace(self, checkpoint=Path(folder))

    def load(self) -> Upstream:
        """The checkpoint without its codec. Raises ModelFailed, and InvalidRequest if it is not a CustomVoice one."""
        if self.checkpoint is None:
            return build_model(SIZES[self.size], _SEED, self.device, self.dtype)
        upstream = load_checkpoint(self.checkpoint, self.device, self.dtype)
        if upstream.kind != "custom_voice":
            raise InvalidRequest(f"The checkpoint must be a CustomVoice one, but is {upstream.kind}.")
        return upstream

    def load_codec(self, dtype: torch.dtype) -> Any:
        """Its codec as upstream's Qwen3TTSTokenizer. Raises ModelFailed."""
        if self.checkpoint is None:
            return build_speech_tokenizer(SIZES[self.size], _SEED, self.device, dtype)
        return load_speech_tokenizer(self.checkpoint / "speech_tokenizer", self.device, dtype)


def text_for(upstream: Upstream, frames: int) -> str:
    """Text of at least half as many tokens as frames: twice what they can speak, so that speech goes on to the end."""
    text = _PASSAGE
    while len(encode(upstream.tokenizer, text)) < 2 * frames:
        text += _PASSAGE
    words = text.split()
    while len(words) > 1 and len(encode(upstream.tokenizer, " ".join(words[:-1]))) >= max(8, frames // 2):
        words.pop()
    return " ".join(words)


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


class Ours:
    """Prompts, decode loop and streaming codec of this project, without the process that they serve in."""

    def __init__(self, upstream: Upstream, decoder: Decoder, codec: CodecDecoder) -> None:
        self.upstream = upstream
        self.decoder = decoder
        self.codec = codec
        self._device = self.decoder.model.talker.device

    @classmethod
    def load(cls, weights: Weights) -> "Ours":
        """As it serves: the codec in float32, the language model as quantized as the weights say."""
        if weights.quantize == "none" or weights.checkpoint is None:
            return cls.exact(weights.load(), weights.load_codec(torch.float32))
        kernels = load_kernels(torch.get_num_threads())
        if kernels is None:
            raise EngineFailed("The CPU kernels are not compiled: run python -m wyoming_qwen3.engine.kernels.")
        torch.set_num_threads(1)
        codec = CodecDecoder(weights.load_codec(torch.float32).model.decoder, kernels=kernels)
        loaded = load_quantized(weights.checkpoint, weights.quantize, kernels)
        return cls(loaded.upstream, loaded.decoder, codec)

    @classmethod
    def exact(cls, upstream: Upstream, tokenizer: Any) -> "Ours":
        """Takes over the weights of `upstream`; the codec is computed in the tokenizer's precision."""
        return cls(upstream, Decoder(upstream), CodecDecoder(tokenizer.model.decoder))

    def speak(
        self, text: str, frames: int, *, rows: int = 1, chunk: Callable[[int], int] = chunk_frames, seed: int = 0
    ) -> Times:
        """Speak `rows` utterances side by side; `chunk` tells the frames of each chunk by its number.

        Raises InvalidRequest where speech ends before `frames`.
        """
        start, first, gathered, chunks = perf_counter(), None, 0, 0
        streams = {stream.row: stream for stream in (self._open(text, seed + row) for row in range(rows))}
        for number in range(1, frames + 1):
            for frame in self.decoder.step(list(streams)):
                if frame.codes is None:
                    raise _too_short(number - 1, frames)
                streams[frame.row].gathered.append(frame.codes)
            gathered += 1
            if number == frames or gathered >= chunk(chunks):
                self._decode(list(streams.values()))
                gathered, chunks = 0, chunks + 1
                first = first or perf_counter() - start
        last = perf_counter() - start
        return Times(first or last, last)

    def greedy(self, text: str, frames: int) -> Tensor:
        """The likeliest codes, int64 [frames, 16] on the host."""
        row = self.decoder.admit(_request(Sampling(temperature=0.0)), text=text)
        codes = [frame.codes for _ in range(frames) for frame in self.decoder.step([row]) if frame.codes is not None]
        return torch.stack(codes).cpu()

    @contextmanager
    def stopwatch(self) -> Iterator[dict[str, float]]:
        """Seconds spent in each part while this is open; waits for the device after each call."""
        with _stopwatch(
            self._device,
            ("talker", Talker, "advance"),
            ("talker", Talker, "logits"),
            ("predictor", type(self.decoder.model.predictor), "frame"),
            ("codec", CodecDecoder, "decode_together"),
        ) as seconds:
            yield seconds

    def _open(self, text: str, seed: int) -> _Stream:
        row = self.decoder.admit(_request(Sampling(seed=seed)), text=text)
        return _Stream(row, self.codec.new_state(), [])

    def _decode(self, streams: Sequence[_Stream]) -> None:
        """Samples of the gathered frames, in the host's memory; reading them waits for the device."""
        codes = torch.stack([torch.stack(stream.gathered) for stream in streams])
        self.codec.decode_together(codes, [stream.state for stream in streams]).cpu().numpy().tobytes()
        for stream in streams:
            stream.gathered.clear()


class Stock:
    """qwen-tts as it comes: its own generate method, which gives all samples at the end."""

    def __init__(self, upstream: Upstream, tokenizer: Any) -> None:
        """Uses the modules of both as they are."""
        qwen_tts: Any = import_module("qwen_tts")
        processor = import_module("qwen_tts.core.models").Qwen3TTSProcessor(tokenizer=upstream.tokenizer)
        upstream.model.load_speech_tokenizer(tokenizer)
        self._model = qwen_tts.Qwen3TTSModel(upstream.model, processor, upstream.defaults)
        self._tokenizer = tokenizer

    def speak(self, text: str, frames: int, *, seed: int = 0) -> Times:
        """Speak one utterance. Raises InvalidRequest where speech ends before `frames`."""
        torch.manual_seed(seed)
        start = perf_counter()
        samples = self._generate(text, frames)
        last = perf_counter() - start
        if len(samples) != frames * FRAME_SAMPLES:
            raise _too_short(len(samples) // FRAME_SAMPLES, frames)
        return Times(last, last)

    def greedy(self, text: str, frames: int) -> Tensor:
        """The likeliest codes, int64 [frames, 16] on the host."""
        caught: list[Tensor] = []

        def catch(batch: Sequence[dict[str, Tensor]]) -> Any:
            caught.append(batch[0]["audio_codes"].cpu())
            return [np.zeros(0, np.float32)], SAMPLE_RATE

        with patch.object(self._tokenizer, "decode", catch):
            self._generate(text, frames, do_sample=False, subtalker_dosample=False)
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

    def _generate(self, text: str, frames: int, **options: Any) -> np.ndarray[Any, Any]:
        # It computes a frame's codes at the start of the next step, so the last of N + 1 tokens gives no frame.
        waves, _ = self._model.generate_custom_voice(text, _SPEAKER, _LANGUAGE, max_new_tokens=frames + 1, **options)
        samples: np.ndarray[Any, Any] = waves[0]
        return samples


def _request(sampling: Sampling) -> SpeechRequest:
    return SpeechRequest(find_voice(_SPEAKER)[0], find_language(_LANGUAGE), sampling=sampling)


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

"""Qwen3-TTS itself: checkpoints, the decode loop's rows, and the codec, put together as an Engine.

It knows which tensors belong together; the pipe, credit and who asked are not its business.
"""

import ctypes
import gc
import hashlib
import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wyoming_qwen3.checkpoints import Checkpoint
from wyoming_qwen3.errors import EngineFailed, InvalidRequest, RunawaySpeech
from wyoming_qwen3.hardware import available_memory
from wyoming_qwen3.request import ClonePrompt, Description, Reference, Sampling, SpeechRequest, Voice
from wyoming_qwen3.voices import SPEAKERS

from . import decode
from .codec import CodecDecoder, CodecState
from .reference import clone_prompt
from .upstream import Upstream, load_checkpoint, load_speech_tokenizer
from .wire import Audio, Ended, Failed, Output, Submit

_LOGGER = logging.getLogger(__name__)

_RAMP = (1, 2, 4)
"""Frames of the first chunks of an utterance, and of all that follow: sound early, then less work per frame."""

_CPU_SHARE, _GPU_SHARE = 0.8, 0.9
"""Of the memory found free at start, what checkpoints may take."""

_REMEMBERED_VOICES = 16
"""Cloned voices whose reference the codec need not read again; 5 MB each."""


def chunk_frames(chunks_sent: int) -> int:
    """Frames to gather for the next chunk of an utterance."""
    return _RAMP[min(chunks_sent, len(_RAMP) - 1)]


@dataclass(eq=False)
class _Codec:
    """A speech tokenizer that checkpoints share: its decoder, and what it remembers of references."""

    decoder: CodecDecoder
    path: Path
    footprint: int
    references: dict[bytes, CodecState] = field(default_factory=dict)

    def state_after(self, codes: np.ndarray[Any, Any], device: str) -> CodecState:
        """Decoder state behind the codes of a reference clip, int64 [frames, codebooks]; the clip is read once."""
        key = hashlib.blake2b(codes.tobytes()).digest()
        if key not in self.references:
            state = self.decoder.new_state()
            self.decoder.decode(torch.from_numpy(codes).to(device), state)
            while len(self.references) >= _REMEMBERED_VOICES:
                del self.references[next(iter(self.references))]
            self.references[key] = state
        return self.references[key].copy()


@dataclass(frozen=True, eq=False)
class _Model:
    """A loaded checkpoint."""

    upstream: Upstream
    decoder: decode.Decoder
    codec: _Codec


@dataclass(eq=False)
class _Row:
    """One utterance: the codes being drawn, and the sound being made of them."""

    model: _Model
    codes: decode.Row
    state: CodecState
    gathered: list[Tensor] = field(default_factory=list)
    chunks: int = 0


class NativeEngine:
    """Speaks with Qwen3-TTS checkpoints on this machine."""

    def __init__(self, device: str, dtype: str) -> None:
        """`device` and `dtype` as on the command line. The codec is always computed in float32."""
        self.device = _choose_device(device)
        self.memory = _free_memory(self.device)
        self._dtype = {
            "auto": torch.float32 if self.device == "cpu" else torch.bfloat16,
            "float32": torch.float32,
            "bfloat16": torch.bfloat16,
        }[dtype]
        self.weight_bytes = self._dtype.itemsize
        self._models: dict[Checkpoint, _Model] = {}
        self._codecs: dict[bytes, _Codec] = {}
        self._rows: dict[int, _Row] = {}

    def load(self, checkpoint: Checkpoint, path: Path) -> int:
        """Read a checkpoint and return its footprint in bytes, that of a codec it shares not counted.

        Raises ModelFailed.
        """
        upstream = load_checkpoint(path, self.device, self._dtype)
        footprint = _tensor_bytes(upstream.model)
        codec, added = self._codec(path / "speech_tokenizer")
        self._models[checkpoint] = model = _Model(upstream, decode.Decoder(upstream), codec)
        self._warm_up(checkpoint, model)
        return footprint + added

    def unload(self, checkpoint: Checkpoint) -> None:
        """Give a checkpoint's memory back, and that of a codec that nobody shares any more."""
        del self._models[checkpoint]
        used = {id(model.codec) for model in self._models.values()}
        self._codecs = {key: codec for key, codec in self._codecs.items() if id(codec) in used}
        _return_memory(self.device)

    def admit(self, submit: Submit) -> None:
        """Take a row in. Raises a SpeechError where the request can't be spoken."""
        model = self._models.get(submit.checkpoint) if submit.checkpoint else None
        if model is None:
            raise EngineFailed("The checkpoint for this request is not loaded.")
        self._rows[submit.row] = self._open(model, submit.request, submit.text, live=submit.live)

    def feed(self, row: int, text: str) -> None:
        """More text of a live row."""
        self._rows[row].codes.feed(text)

    def finish(self, row: int) -> None:
        """A live row's text is complete."""
        self._rows[row].codes.finish()

    def cancel(self, row: int) -> None:
        """Forget a row."""
        self._rows.pop(row, None)

    def waiting(self, row: int) -> bool:
        """Whether the row can't go on before more of its text comes."""
        return not self._rows[row].codes.ready

    def step(self, rows: Collection[int]) -> Iterator[Output]:
        """Advance these rows by one frame, all rows of a checkpoint together."""
        groups: dict[_Model, dict[decode.Row, int]] = {}
        for number in rows:  # all looked up first: a row that ends is cancelled while the others go on
            groups.setdefault(self._rows[number].model, {})[self._rows[number].codes] = number
        for model, mine in groups.items():
            try:
                frames = model.decoder.step(list(mine))
            except torch.AcceleratorError:
                raise  # the device's state is lost, and with it this process
            except Exception:
                _LOGGER.exception("A step of the decode loop failed")
                yield from (Failed(row, EngineFailed.code, "The engine failed on this text.") for row in mine.values())
                continue
            for frame in frames:
                yield from self._advance(mine[frame.row], frame)

    def _advance(self, number: int, frame: decode.Frame) -> Iterator[Output]:
        """What a row's new frame means for the listener."""
        row = self._rows[number]
        if frame.codes is not None:
            row.gathered.append(frame.codes)
        if row.gathered and (frame.ending == "eos" or len(row.gathered) >= chunk_frames(row.chunks)):
            samples = row.model.codec.decoder.decode(torch.stack(row.gathered), row.state)
            row.gathered.clear()
            row.chunks += 1
            yield Audio(number, samples.cpu().numpy().tobytes())
        if frame.ending == "eos":
            yield Ended(number)
        elif frame.ending == "limit":
            message = f"The speech did not end within the {row.codes.frames} frames that its text can need."
            yield Failed(number, RunawaySpeech.code, message)

    def _open(self, model: _Model, request: SpeechRequest, text: str, *, live: bool) -> _Row:
        voice = request.voice
        if isinstance(voice, Reference):
            voice = self._read_reference(model, voice)
            request = SpeechRequest(voice, request.language, request.instruct, request.sampling)
        codes = model.decoder.admit(request, text=text, finished=not live, streaming_text=live)
        if isinstance(voice, ClonePrompt) and voice.codes is not None:
            state = model.codec.state_after(voice.codes, self.device)
        else:
            state = model.codec.decoder.new_state()
        return _Row(model, codes, state)

    def _read_reference(self, model: _Model, reference: Reference) -> ClonePrompt:
        """The prompt that clones a clip's voice; the codec's encoder is read for it, and dropped again."""
        if model.upstream.kind != "base":
            raise InvalidRequest("Only the Base checkpoint can clone a voice.")
        tokenizer = load_speech_tokenizer(model.codec.path, self.device, torch.float32)
        return clone_prompt(model.upstream, tokenizer, reference)

    def _codec(self, path: Path) -> tuple[_Codec, int]:
        """The codec of a folder, and the bytes that it takes more: all checkpoints are published with the same one."""
        key = _fingerprint(path / "model.safetensors")
        if codec := self._codecs.get(key):
            return codec, 0
        tokenizer = load_speech_tokenizer(path, self.device, torch.float32)
        codec = _Codec(CodecDecoder(tokenizer.model.decoder), path, _tensor_bytes(tokenizer.model.decoder))
        self._codecs[key] = codec
        return codec, codec.footprint

    def _warm_up(self, checkpoint: Checkpoint, model: _Model) -> None:
        """Speak a few frames to nobody: first calls allocate, and choose their kernels."""
        request = SpeechRequest(_any_voice(checkpoint, model), sampling=Sampling(temperature=0.0, max_frames=3))
        row = self._open(model, request, "Ready.", live=False)
        while row.codes.ending is None:
            for frame in model.decoder.step([row.codes]):
                if frame.codes is not None:
                    model.codec.decoder.decode(frame.codes[None], row.state)


def _any_voice(checkpoint: Checkpoint, model: _Model) -> Voice:
    match checkpoint.kind:
        case "custom_voice":
            return SPEAKERS[0]
        case "voice_design":
            return Description("A calm voice.")
        case "base":
            hidden = model.upstream.model.config.talker_config.hidden_size
            return ClonePrompt(np.zeros(hidden, dtype=np.float32))


def _choose_device(device: str) -> str:
    if device == "cpu":
        return device
    if torch.cuda.is_available():
        return "cuda" if device == "auto" else device
    if device != "auto":
        _LOGGER.warning("PyTorch finds no GPU for --device %s; speaking on the CPU", device)
    return "cpu"


def _free_memory(device: str) -> int:
    if device == "cpu":
        return int(_CPU_SHARE * available_memory())
    free, _ = torch.cuda.mem_get_info(device)
    return int(_GPU_SHARE * free)


def _tensor_bytes(module: torch.nn.Module) -> int:
    return sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))


def _fingerprint(file: Path) -> bytes:
    """Tells codecs apart by size, header and the last tensors: reading all 700 MB would cost seconds."""
    size, part = file.stat().st_size, 1 << 20
    with file.open("rb") as source:
        digest = hashlib.blake2b(size.to_bytes(8, "little") + source.read(part))
        source.seek(max(size - part, 0))
        digest.update(source.read(part))
    return digest.digest()


def _return_memory(device: str) -> None:
    gc.collect()
    if device != "cpu":
        torch.cuda.empty_cache()
    try:
        ctypes.CDLL(None).malloc_trim(0)  # glibc keeps freed memory otherwise
    except (AttributeError, OSError):
        _LOGGER.debug("This C library can't give memory back")

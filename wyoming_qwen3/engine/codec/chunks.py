"""Codes to samples: the codec that checkpoints share, and the sound of one row, chunk by chunk.

Knows rows' codes alone, not where they come from.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.core.request import CodeArray
from wyoming_qwen3.engine.checkpoint.published import PublishedCodec

from .decoder import CodecState

_RAMP = (1, 2, 4)
"""Frames of the first chunks of an utterance, and of all that follow: sound early, then less work per frame."""

_REMEMBERED_VOICES = 16
"""Cloned voices whose reference the codec need not read again; 5 MB each."""


def chunk_frames(chunks_sent: int) -> int:
    """Frames to gather for the next chunk of an utterance."""
    return _RAMP[min(chunks_sent, len(_RAMP) - 1)]


class FrameDecoder(Protocol):
    """What is needed of the codec's decoder, however it computes; see decoder.CodecDecoder."""

    side_by_side: bool
    """Whether several streams are decoded faster together than one after the other."""

    def new_state(self) -> CodecState:
        """State of a stream's start."""

    def copy(self, state: CodecState) -> CodecState:
        """Independent state of the same past."""

    def decode(self, codes: Tensor, state: CodecState) -> Tensor:
        """Samples of the next frames: codes int64 [frames, codebooks], on any device, -> float32."""

    def decode_together(self, codes: Tensor, states: Sequence[CodecState]) -> Tensor:
        """Samples of as many next frames of each stream: codes int64 [streams, frames, codebooks] -> [streams, -1]."""


@dataclass(eq=False)
class Codec:
    """A speech tokenizer that checkpoints share: its decoder, and what it remembers of references."""

    decoder: FrameDecoder
    published: PublishedCodec
    device: str
    _references: dict[bytes, CodecState] = field(default_factory=dict)

    def take(self, codes: CodeArray) -> Tensor:
        """Codes on the codec's device, int64 [frames, codebooks].

        Raises InvalidRequest for what can't be decoded: a GPU does not survive an index that is out of range.
        """
        config = self.published.config
        if codes.ndim != 2 or not len(codes) or codes.shape[1] != config.num_quantizers:
            raise InvalidRequest(f"Codes must be one frame or more of {config.num_quantizers} codes each.")
        if codes.min() < 0 or codes.max() >= config.codebook_size:
            raise InvalidRequest(f"Each code must be between 0 and {config.codebook_size - 1}.")
        return torch.tensor(codes, dtype=torch.int64, device=self.device)

    def state_after(self, codes: CodeArray) -> CodecState:
        """Decoder state behind the codes of a reference clip, int64 [frames, codebooks]; the clip is read once."""
        key, known = hashlib.blake2b(codes.tobytes()).digest(), self._references
        if key not in known:
            state = self.decoder.new_state()
            self.decoder.decode(self.take(codes), state)
            while len(known) >= _REMEMBERED_VOICES:
                del known[next(iter(known))]
            known[key] = state
        return self.decoder.copy(known[key])

    def forget(self) -> None:
        """Give the memory back of what is only remembered; from any thread, since what is in use stays as it is."""
        self._references = {}


@dataclass(eq=False)
class RowSound:
    """The samples of one row, chunk by chunk."""

    decoder: FrameDecoder
    state: CodecState
    chunks: int = 0

    @property
    def wanted(self) -> int:
        """Frames of the next chunk."""
        return chunk_frames(self.chunks)

    def decode(self, codes: Tensor) -> bytes:
        """float32 samples of the next frames: codes int64 [frames, codebooks]."""
        [samples] = decode_together([(self, codes)])
        return samples


def decode_together(parts: Sequence[tuple[RowSound, Tensor]]) -> list[bytes]:
    """float32 samples of the next frames of each sound, which have one codec and as many frames each.

    If that fails, several sounds are as they were. A single one is half decoded then.
    """
    sounds, codes = zip(*parts, strict=True)
    decoder = sounds[0].decoder
    before = [decoder.copy(sound.state) for sound in sounds] if len(sounds) > 1 else []  # under 1 % of a decode's time
    try:
        samples = decoder.decode_together(torch.stack(codes), [sound.state for sound in sounds]).cpu().numpy()
    except Exception:
        for sound, state in zip(sounds, before, strict=False):
            sound.state = state
        raise
    for sound in sounds:
        sound.chunks += 1
    return [own.tobytes() for own in samples]


def fingerprint(file: Path) -> bytes:
    """Tells codecs apart by size, header and the last tensors: reading all 700 MB would cost seconds."""
    size, part = file.stat().st_size, 1 << 20
    with file.open("rb") as source:
        digest = hashlib.blake2b(size.to_bytes(8, "little") + source.read(part))
        source.seek(max(size - part, 0))
        digest.update(source.read(part))
    return digest.digest()

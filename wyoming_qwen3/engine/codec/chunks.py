"""Decodes codes to samples: the codec that checkpoints share, and the samples of one row, chunk by chunk.

Knows only the codes of rows, not where they come from.
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
"""Frames of a row's first chunks; the last number is for all that follow: audio early, then less work per frame."""

_REMEMBERED_VOICES = 16
"""How many cloned voices keep the codec's state after their reference clip; 5 MB each."""


def chunk_frames(chunks_sent: int) -> int:
    """Return how many frames the next chunk has, after `chunks_sent` chunks."""
    return _RAMP[min(chunks_sent, len(_RAMP) - 1)]


class FrameDecoder(Protocol):
    """The interface of the codec's decoder, however it computes; see decoder.CodecDecoder."""

    side_by_side: bool
    """Whether several streams should be decoded in one call rather than one after the other."""

    def new_state(self) -> CodecState:
        """Return the state at the start of a stream."""

    def copy(self, state: CodecState) -> CodecState:
        """Return an independent copy of a state."""

    def decode(self, codes: Tensor, state: CodecState) -> Tensor:
        """Decode the next frames: codes int64 [frames, codebooks], on any device, -> float32 [samples]."""

    def decode_together(self, codes: Tensor, states: Sequence[CodecState]) -> Tensor:
        """Decode the next frames of several streams: [streams, frames, codebooks] -> float32 [streams, samples]."""


@dataclass(eq=False)
class Codec:
    """A speech tokenizer that checkpoints share: its decoder, and its states after reference clips."""

    decoder: FrameDecoder
    published: PublishedCodec
    device: str
    _references: dict[bytes, CodecState] = field(default_factory=dict)

    def take(self, codes: CodeArray) -> Tensor:
        """Check codes and return them on the codec's device, int64 [frames, codebooks].

        Raises InvalidRequest if they can't be decoded: an index out of range would make a GPU unusable.
        """
        config = self.published.config
        if codes.ndim != 2 or not len(codes) or codes.shape[1] != config.num_quantizers:
            raise InvalidRequest(f"Codes must be at least one frame of {config.num_quantizers} codes.")
        if codes.min() < 0 or codes.max() >= config.codebook_size:
            raise InvalidRequest(f"Each code must be between 0 and {config.codebook_size - 1}.")
        return torch.tensor(codes, dtype=torch.int64, device=self.device)

    def state_after(self, codes: CodeArray) -> CodecState:
        """Return the decoder's state after the codes of a reference clip, int64 [frames, codebooks].

        The clip is decoded only once while it is among the remembered voices. Raises InvalidRequest as `take` does.
        """
        key, known = hashlib.blake2b(codes.tobytes()).digest(), self._references
        if key not in known:
            state = self.decoder.new_state()
            self.decoder.decode(self.take(codes), state)
            while len(known) >= _REMEMBERED_VOICES:
                del known[next(iter(known))]
            known[key] = state
        return self.decoder.copy(known[key])

    def forget(self) -> None:
        """Release the remembered states. Safe to call on any thread: what is in use stays as it is."""
        self._references = {}


@dataclass(eq=False)
class RowSound:
    """The samples of one row, chunk by chunk."""

    decoder: FrameDecoder
    state: CodecState
    chunks: int = 0

    @property
    def wanted(self) -> int:
        """Number of frames of the next chunk."""
        return chunk_frames(self.chunks)

    def decode(self, codes: Tensor) -> bytes:
        """Decode the next frames: codes int64 [frames, codebooks] -> float32 samples as bytes."""
        [samples] = decode_together([(self, codes)])
        return samples


def decode_together(parts: Sequence[tuple[RowSound, Tensor]]) -> list[bytes]:
    """Decode the next frames of each sound to float32 samples; all have the same codec and number of frames.

    If this fails with several sounds, all are as they were before. A single sound may be partly decoded then.
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
    """Return a hash that identifies a codec file by its size, first and last MiB: reading all 700 MB takes seconds."""
    size, part = file.stat().st_size, 1 << 20
    with file.open("rb") as source:
        digest = hashlib.blake2b(size.to_bytes(8, "little") + source.read(part))
        source.seek(max(size - part, 0))
        digest.update(source.read(part))
    return digest.digest()

"""Encodes a clip to codes and to the prompt that clones its voice, with upstream's own encoders.

The encoders are read from disk for each clip and dropped afterwards; importing this module takes seconds. Knows samples
and codes; a clip is always an array, never a path or a URL.
"""

import librosa
import numpy as np
import torch

from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.core.request import SAMPLE_RATE, ClonePrompt, CodeArray, FloatArray, Reference
from wyoming_qwen3.engine.checkpoint.published import Published, PublishedCodec
from wyoming_qwen3.engine.upstream import load_clip_encoder, load_speaker_encoder

_MIN_SECONDS = 0.5


@torch.inference_mode()
def clone_prompt(
    published: Published, codec: PublishedCodec, reference: Reference, device: str, dtype: torch.dtype
) -> ClonePrompt:
    """Extract from a clip what Base needs to clone its voice, the same as upstream's create_voice_clone_prompt.

    `published` must be a Base checkpoint; its speaker encoder computes in `dtype`. Raises InvalidRequest if it is not,
    if the transcript is empty, or if the clip is not mono, not finite or shorter than half a second, and ModelFailed if
    an encoder can't be read.
    """
    if published.kind != "base":
        raise InvalidRequest("Only a Base checkpoint can clone a voice.")
    text = None if reference.text is None else reference.text.strip()
    if text == "":
        raise InvalidRequest("The text of the reference clip is empty; leave it out to clone only the timbre.")
    samples = _checked(reference.samples)
    if len(samples) < _MIN_SECONDS * reference.sample_rate:
        raise InvalidRequest(f"A reference clip must last at least {_MIN_SECONDS} seconds.")
    encoder = load_speaker_encoder(published, device, dtype)
    embedding = encoder.extract_speaker_embedding(audio=_resampled(samples, reference.sample_rate), sr=SAMPLE_RATE)
    speaker = embedding.float().cpu().numpy()
    if text is None:
        return ClonePrompt(speaker)
    return ClonePrompt(speaker, _codes(codec, samples, reference.sample_rate, device), text)


def encode_clip(codec: PublishedCodec, samples: FloatArray, sample_rate: int, device: str) -> CodeArray:
    """Encode mono samples [n] with upstream's tokenizer: int64 [frames, codebooks], one frame for each 80 ms.

    Upstream resamples to the tokenizer's own rate; the last frame may be only partly filled. Raises InvalidRequest if
    the clip is empty, not mono or not finite, and ModelFailed if the tokenizer can't be read.
    """
    if not np.size(samples):
        raise InvalidRequest("The clip has no samples; it needs at least one to be encoded.")
    return _codes(codec, _checked(samples), sample_rate, device)


def _codes(codec: PublishedCodec, samples: FloatArray, sample_rate: int, device: str) -> CodeArray:
    codes: CodeArray = load_clip_encoder(codec, device).encode(samples, sr=sample_rate).audio_codes[0].cpu().numpy()
    return codes


def _checked(samples: FloatArray) -> FloatArray:
    samples = np.asarray(samples, dtype=np.float32)
    if samples.ndim != 1 or not np.isfinite(samples).all():
        raise InvalidRequest("A clip must be mono, and all its samples must be finite numbers.")
    return samples


def _resampled(samples: FloatArray, rate: int) -> FloatArray:
    """Resample to 24 kHz with the resampler that upstream uses."""
    if rate == SAMPLE_RATE:
        return samples
    resampled: FloatArray = librosa.resample(y=samples, orig_sr=rate, target_sr=SAMPLE_RATE)
    return resampled

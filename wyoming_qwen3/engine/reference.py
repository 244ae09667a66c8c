"""From a clip of a voice to the prompt that clones it, with upstream's own encoders.

Knows samples and codes; does NOT know files: a clip is always an array, never a path or an address.
"""

from typing import Any

import librosa
import numpy as np
import torch

from wyoming_qwen3.errors import InvalidRequest
from wyoming_qwen3.request import SAMPLE_RATE, ClonePrompt, Reference

from .upstream import Upstream

_SHORTEST_SECONDS = 0.5


@torch.inference_mode()
def clone_prompt(upstream: Upstream, speech_tokenizer: Any, reference: Reference) -> ClonePrompt:
    """Extract from a clip what Base needs: the same as upstream's create_voice_clone_prompt.

    `upstream` must be a Base checkpoint, `speech_tokenizer` what load_speech_tokenizer gives. Raises InvalidRequest
    for another checkpoint, an empty transcript, and a clip that is not mono, not finite or below half a second.
    """
    if upstream.kind != "base":
        raise InvalidRequest("Only a Base checkpoint can clone a voice.")
    text = None if reference.text is None else reference.text.strip()
    if text == "":
        raise InvalidRequest("The text of the reference clip is empty; leave it out to clone the timbre alone.")
    samples = _checked(reference)
    embedding = upstream.model.extract_speaker_embedding(
        audio=_resampled(samples, reference.sample_rate), sr=SAMPLE_RATE
    )
    speaker = embedding.float().cpu().numpy()
    if text is None:
        return ClonePrompt(speaker)
    codes = speech_tokenizer.encode(samples, sr=reference.sample_rate).audio_codes[0]
    return ClonePrompt(speaker, codes.cpu().numpy(), text)


def _checked(reference: Reference) -> np.ndarray[Any, np.dtype[np.float32]]:
    samples = np.asarray(reference.samples, dtype=np.float32)
    if samples.ndim != 1 or not np.isfinite(samples).all():
        raise InvalidRequest("A reference clip must be mono and hold finite numbers only.")
    if len(samples) < _SHORTEST_SECONDS * reference.sample_rate:
        raise InvalidRequest(f"A reference clip must last at least {_SHORTEST_SECONDS} seconds.")
    return samples


def _resampled(samples: np.ndarray[Any, np.dtype[np.float32]], rate: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Samples at 24 kHz, by the resampler that upstream uses."""
    if rate == SAMPLE_RATE:
        return samples
    resampled: np.ndarray[Any, np.dtype[np.float32]] = librosa.resample(y=samples, orig_sr=rate, target_sr=SAMPLE_RATE)
    return resampled

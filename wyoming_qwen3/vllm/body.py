"""Builds the request body for a piece of text: vLLM-Omni's OpenAICreateSpeechRequest of POST /v1/audio/speech.

https://docs.vllm.ai/projects/vllm-omni/en/stable/serving/speech_api/
The server silently ignores unknown fields, so only fields of its model are sent.
"""

import base64
from dataclasses import replace
from typing import Any

import numpy as np

from wyoming_qwen3.core.checkpoints import KIND_NAMES, Checkpoint
from wyoming_qwen3.core.errors import InvalidRequest, NotSupported
from wyoming_qwen3.core.request import ClonePrompt, Description, KeptVoiceRef, Reference, SpeechRequest, Voice
from wyoming_qwen3.core.speakers import Speaker
from wyoming_qwen3.core.speech_length import frame_limit_of_text
from wyoming_qwen3.store.voices import wav

_MAX_FRAMES = 4096
"""The server's limit for max_new_tokens."""

_REFERENCE_SECONDS = (1.0, 30.0)


def speech_body(
    request: SpeechRequest, text: str, checkpoint: Checkpoint, model: str, voice: dict[str, Any]
) -> dict[str, Any]:
    """Return the JSON of a request for streamed raw PCM.

    `model` is the server's id of the checkpoint, and `voice` the result of `voice_fields`. `stream` alone means raw PCM
    in old versions and server-sent events in new ones; with `stream_format` all versions send PCM.
    """
    words = " ".join(part for part in (voice.get("instructions"), (request.instruct or "").strip()) if part)
    body = {
        "model": model,
        "input": text,
        "task_type": KIND_NAMES[checkpoint.kind],
        "language": request.language.label if request.language else "Auto",
        **voice,
        "instructions": words or None,
        "seed": request.sampling.seed,
        "max_new_tokens": frame_limit_of_text(text, min(request.sampling.max_frames or _MAX_FRAMES, _MAX_FRAMES)),
        "response_format": "pcm",
        "stream": True,
        "stream_format": "audio",
    }
    return {name: value for name, value in body.items() if value is not None}


def voice_fields(voice: Voice) -> dict[str, Any]:
    """Return the request fields of a voice. Encoding a clip takes about 10 ms: not for an event loop.

    Clips are sent as data: URLs, so that the server fetches nothing; it accepts 1 to 30 s. Raises InvalidRequest for
    longer ones, and NotSupported for a clone prompt that only the native engine can use.
    """
    match voice:
        case Speaker():
            return {"voice": voice.id}
        case Description():
            return {"instructions": voice.text.strip()}
        case Reference():
            return _reference_fields(voice)
        case ClonePrompt(codes=None):
            return {"speaker_embedding": voice.speaker_embedding.tolist()}
        case ClonePrompt():
            raise NotSupported("A vLLM server needs a clip; it can't use a clone prompt.", param="voice")
        case KeptVoiceRef():
            raise TypeError("a kept voice must be replaced by its clips first")


def _reference_fields(clip: Reference) -> dict[str, Any]:
    clip = _fitted(clip)
    _, longest = _REFERENCE_SECONDS
    if (seconds := clip.samples.size / clip.sample_rate) > longest:
        raise InvalidRequest(
            f"The voice's clip lasts {seconds:.1f} s; vLLM servers accept at most {longest:g} s.", param="ref_audio"
        )
    url = f"data:audio/wav;base64,{base64.b64encode(wav.pack(clip)).decode()}"
    said = {"x_vector_only_mode": True} if clip.text is None else {"ref_text": clip.text}
    return {"ref_audio": url, **said}


def _fitted(clip: Reference) -> Reference:
    """Return a prepared clip with a length that servers accept. Preparing has cut silence and appended half a second.

    If it is too short, silence is appended; if it is too long, only silence is cut off its end.
    """
    shortest, longest = (round(seconds * clip.sample_rate) for seconds in _REFERENCE_SECONDS)
    samples = clip.samples
    if samples.size > longest and not samples[longest:].any():
        samples = samples[:longest]
    return replace(clip, samples=np.pad(samples, (0, max(0, shortest - samples.size))))

"""Utterances that a history is given to keep."""

from dataclasses import replace
from typing import Any

import numpy as np

from wyoming_qwen3.core.request import FloatArray
from wyoming_qwen3.store.history.store import Facts, History, Recording, StoredGeneration

FACTS = Facts(
    text="The lights are on.",
    source="speech",
    voice="Ryan",
    model="custom_voice-0.6b",
    language="en",
    params={"segments": ["The lights are on."], "sampling": {"seed": 7}},
    seed=7,
    first_audio=0.25,
    wall=1.5,
    outcome="whole",
)


def noise(seconds: float, seed: int = 0) -> FloatArray:
    """Samples of which none can be made up from the others."""
    return np.random.default_rng(seed).uniform(-1, 1, round(seconds * 24_000)).astype(np.float32)


def speak(history: History, samples: FloatArray, **facts: Any) -> Recording:
    """Record as a session does, chunk by chunk."""
    recording = history.begin()
    for chunk in np.array_split(samples, 5):
        recording.add(chunk)
    recording.store(replace(FACTS, **facts))
    return recording


async def spoken(history: History, seconds: float = 0.1, **facts: Any) -> StoredGeneration:
    """The entry of an utterance that has just been spoken."""
    return await history.get(speak(history, noise(seconds), **facts).id)

"""The peer faster-qwen3-tts, in a virtual environment of its own: it needs another transformers than ours.

Knows how to install it and to have its driver speak; does NOT know what is taken of its times.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.core.request import FRAME_SAMPLES

from .environment import Environment
from .systems import LANGUAGE, SPEAKER, Times, Weights

_VERSION = "0.5.4"
_PEER = (f"faster-qwen3-tts=={_VERSION}", "qwen-tts-hf==0.1.1.post1")
"""Without all that they ask for: the driver needs no gradio, torchaudio, sox, onnxruntime and einops."""

_NEEDED = (
    f"torch=={torch.__version__.partition('+')[0]}",
    "transformers==5.15.1",
    "accelerate==1.12.0",
    "huggingface_hub==1.33.0",
    "librosa==0.11.0",
    "numpy==2.4.6",
    "soundfile==0.14.0",
)
"""What is imported of the rest, and PyTorch as ours is. Newer transformers (5.17.0, 5.24.0) fail to load the codec."""

_DRIVER = Path(__file__).with_name("faster_driver.py")


@dataclass(frozen=True)
class Spoken:
    """Times of each run by the frames of a chunk, and the most memory of the GPU."""

    times: dict[str, list[Times]]
    peak_mb: float


def require_gpu(device: str) -> None:
    """Raise InvalidRequest where the peer can't run: it replays CUDA graphs, and has no other way."""
    if device != "cuda" or not torch.cuda.is_available():
        raise InvalidRequest("faster-qwen3-tts runs on a CUDA GPU only; leave it out of --against.")


def environment() -> Environment:
    """Its virtual environment. It brings a PyTorch of its own."""
    return Environment("faster-qwen3-tts", _VERSION, (_NEEDED, ("--no-deps", *_PEER)))


def speak(weights: Weights, text: str, frames: int, runs: int, chunks: Sequence[str]) -> Spoken:
    """Have the text spoken `runs` times in chunks of each size; "default" is the peer's own. Raises EngineFailed."""
    job = {
        "checkpoint": str(weights.folder),
        "device": weights.device,
        "dtype": str(weights.dtype).removeprefix("torch."),
        "text": text,
        "speaker": SPEAKER,
        "language": LANGUAGE,
        "frames": frames,
        "samples": frames * FRAME_SAMPLES,
        "runs": runs,
        "chunks": chunks,
    }
    # Not the driver's folder first in the path (-P): its http.py would stand in for Python's own.
    own = environment()
    said = own.run([str(own.python), "-P", str(_DRIVER)], "failed", json.dumps(job))
    answer = json.loads(said.splitlines()[-1])
    times = {chunk: [Times(*pair) for pair in pairs] for chunk, pairs in answer["times"].items()}
    return Spoken(times, answer["peak_mb"])

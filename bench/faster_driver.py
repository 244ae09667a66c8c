"""Speaks with faster-qwen3-tts and tells how long it took. Runs in that package's virtual environment, as a script.

Imports nothing of this project. The job is JSON on standard input, the answer the last line of standard output.
"""

import json
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from importlib import import_module
from time import perf_counter
from types import ModuleType
from typing import Any

import torch
from transformers import PretrainedConfig


def main() -> None:
    """Answer with seconds by chunk size, a pair for each run, to the first samples and to the last, and the memory."""
    job = json.load(sys.stdin)
    with redirect_stdout(sys.stderr):  # the packages print hints
        answer = _measure(job)
    sys.stdout.write(json.dumps(answer) + "\n")


def _measure(job: Mapping[str, Any]) -> dict[str, Any]:
    _leave_out_25hz()
    peer: Any = import_module("faster_qwen3_tts").FasterQwen3TTS
    model = peer.from_pretrained(job["checkpoint"], device=job["device"], dtype=job["dtype"])
    times = {}
    for chunk in job["chunks"]:
        _speak(model, job, chunk, 0)
        times[chunk] = [_speak(model, job, chunk, seed) for seed in range(job["runs"])]
    return {"times": times, "peak_mb": torch.cuda.max_memory_allocated() / 1e6}


def _leave_out_25hz() -> None:
    """Stand in for the 25 Hz tokenizer, which is imported always and used by no 12 Hz checkpoint.

    It asks for sox and for a torchaudio that fits PyTorch and CUDA.
    """
    config = type("Qwen3TTSTokenizerV1Config", (PretrainedConfig,), {"model_type": "qwen3_tts_tokenizer_25hz"})
    model = type("Qwen3TTSTokenizerV1Model", (), {"config_class": config})
    for part, content in (("configuration", config), ("modeling", model)):
        module = ModuleType(f"qwen_tts.core.tokenizer_25hz.{part}_qwen3_tts_tokenizer_v1")
        setattr(module, content.__name__, content)
        sys.modules[module.__name__] = module


def _speak(model: Any, job: Mapping[str, Any], chunk: str, seed: int) -> tuple[float, float]:
    """Speak the text once in chunks of so many frames, or as long as they are by themselves if it is "default"."""
    size = {} if chunk == "default" else {"chunk_size": int(chunk)}
    torch.manual_seed(seed)
    start, first, samples = perf_counter(), None, 0
    for sound, _, _ in model.generate_custom_voice_streaming(
        job["text"],
        job["speaker"],
        job["language"],
        non_streaming_mode=True,
        min_new_tokens=job["frames"],
        max_new_tokens=job["frames"],
        **size,
    ):
        sound.tobytes()
        first = first or perf_counter() - start
        samples += len(sound)
    last = perf_counter() - start
    if samples != job["samples"]:
        sys.exit(f"it spoke {samples} of {job['samples']} samples")
    return first or last, last


if __name__ == "__main__":
    main()

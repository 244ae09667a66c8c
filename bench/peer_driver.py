"""Speaks with vox-tts or realtimetts-qwen-native-cpu, as a script in that package's virtual environment.

Imports nothing of this project. Takes lines of JSON on standard input, the first of which says what to load, and
answers each with a line on standard output.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any

FRAME_SAMPLES = 1920

Speak = Callable[[Mapping[str, Any]], Iterator[Any]]
"""Yields the samples of a run, chunk by chunk."""


def main() -> None:
    """Answer until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # the packages print hints
    speak = None
    for line in sys.stdin:
        question = json.loads(line)
        if speak is None:
            answer: dict[str, Any] = {}
            speak = _LOADERS[question["peer"]](question)
        elif "peak" in question:
            answer = {"peak_mb": _peak_mb()}
        else:
            answer = _timed(speak, question)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _peak_mb() -> float:
    """The most resident memory; getrusage would count that of the process which started this one, too."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


def _timed(speak: Speak, run: Mapping[str, Any]) -> dict[str, Any]:
    start, first, samples = perf_counter(), None, 0
    for sound in speak(run):
        sound.tobytes()
        first = first or perf_counter() - start
        samples += len(sound)
    last = perf_counter() - start
    if samples != run["frames"] * FRAME_SAMPLES:
        sys.exit(f"it spoke {samples} of {run['frames'] * FRAME_SAMPLES} samples")
    return {"first": first, "last": last}


def _load_vox(job: Mapping[str, Any]) -> Speak:
    engine: Any = import_module("vox").Engine(job["file"], device="cpu", threads=job["threads"])
    voice = engine.speaker_voice(job["speaker"])

    def speak(run: Mapping[str, Any]) -> Iterator[Any]:
        return iter(
            engine.stream(run["text"], voice, language=job["language"], seed=run["seed"], max_frames=run["frames"])
        )

    return speak


def _load_qwentts(job: Mapping[str, Any]) -> Speak:
    peer: Any = import_module("qwentts_cpp_cpu").QwenTTS(job["file"], job["codec"], cpu_threads=job["threads"])

    def speak(run: Mapping[str, Any]) -> Iterator[Any]:
        for sound, _ in peer.stream(
            text=run["text"],
            lang=job["language"],
            speaker=job["speaker"],
            seed=run["seed"],
            max_new_tokens=run["frames"],
        ):
            yield sound

    return speak


_LOADERS = {"vox": _load_vox, "qwentts": _load_qwentts}


if __name__ == "__main__":
    main()

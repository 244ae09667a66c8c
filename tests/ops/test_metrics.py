import os
import subprocess
import sys
from functools import partial

import psutil
import pytest

from tests.metrics import samples
from wyoming_qwen3.ops.metrics import Metrics, resident_bytes


def test_speech_is_counted_by_surface_model_and_end() -> None:
    metrics = Metrics()
    metrics.spoke("wyoming", "A", "whole", first_audio=0.12, audio=4.0, speed=2.0)
    metrics.spoke("speech", "A", "stopped", first_audio=0.4, audio=1.0, speed=None)
    metrics.spoke("speech", "none", "queue_full", first_audio=0.0, audio=0.0, speed=None)
    told = samples(metrics)
    assert told["tts_requests_total", "A", "whole", "wyoming"] == 1
    assert told["tts_requests_total", "none", "queue_full", "speech"] == 1
    assert told["tts_audio_seconds_total", "A"] == 5.0
    assert told["tts_first_audio_seconds_sum", "A"] == pytest.approx(0.52)
    assert told["tts_first_audio_seconds_bucket", "0.2", "A"] == 1
    assert (told["tts_generation_speed_sum", "A"], told["tts_generation_speed_count", "A"]) == (2.0, 1)
    assert ("tts_audio_seconds_total", "none") not in told


def test_gauges_are_read_when_somebody_looks() -> None:
    metrics, waiting, sizes = Metrics(), [1, 2], {"one": 5.0, "two": 6.0}
    metrics.watch("queue_waiting", "Waiting.", lambda: len(waiting))
    metrics.watch_each("size", "Sizes.", "name", {name: partial(sizes.__getitem__, name) for name in sizes})
    waiting.append(3)
    sizes["two"] = 7.0
    told = samples(metrics)
    assert told["tts_queue_waiting",] == 3
    assert (told["tts_size", "one"], told["tts_size", "two"]) == (5.0, 7.0)


def test_two_servers_in_one_process_count_apart() -> None:
    first, second = Metrics(), Metrics()
    first.answered("GET", "/health", 200)
    assert samples(first)["tts_http_answers_total", "GET", "/health", "200"] == 1
    assert ("tts_http_answers_total", "GET", "/health", "200") not in samples(second)


def test_memory_is_that_of_the_process() -> None:
    assert resident_bytes(os.getpid()) == pytest.approx(psutil.Process().memory_info().rss, rel=0.05)
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert resident_bytes(child.pid) == 0
    assert resident_bytes(None) == 0

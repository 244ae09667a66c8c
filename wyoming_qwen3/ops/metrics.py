"""Metrics for Prometheus. Knows neither protocol nor engine."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_SECONDS = (0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
_SPEEDS = (0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0)


class Metrics:
    """One registry with all metrics. It is passed to everything that reports some."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._spoken = self._counter("requests", "Texts spoken, by surface, model and outcome.", "source model outcome")
        self._audio = self._counter("audio_seconds", "Seconds of speech generated.", "model")
        self._first = self._histogram(
            "first_audio_seconds", "Seconds from the first text to the first audio.", _SECONDS
        )
        self._speed = self._histogram(
            "generation_speed",
            "Seconds of speech generated per second, from the first chunk on; above 1 is faster than real time.",
            _SPEEDS,
        )
        self._guarded = self._counter(
            "guarded", "Pieces of speech that went wrong, by fault and outcome.", "fault outcome"
        )
        self._clips = self._counter("clips_read", "Clips from which a clone prompt was extracted.", "")
        self._dropped = self._counter(
            "dropped_clients", "Clients dropped because they took none of their answer.", "surface"
        )
        self._answers = self._counter("http_answers", "HTTP answers.", "method route status")
        self._hung_up = self._counter(
            "connection_errors", "Connections closed with an error, by surface and code.", "source code"
        )

    def spoke(
        self, source: str, model: str, outcome: str, *, first_audio: float, audio: float, speed: float | None
    ) -> None:
        """Count an utterance that is over.

        `first_audio` and `audio` are in seconds; `speed` is in seconds of audio per second, None if it is unknown.
        `outcome` is whole, cut, stopped or an error code.
        """
        self._spoken.labels(source, model, outcome).inc()
        if audio:
            self._audio.labels(model).inc(audio)
            self._first.labels(model).observe(first_audio)
        if speed:
            self._speed.labels(model).observe(speed)

    def guarded(self, fault: str, retried: bool) -> None:
        """Count a piece of speech that went wrong (limit, silence or loop) and was restarted or ended with an error."""
        self._guarded.labels(fault, "retried" if retried else "ended").inc()

    def read_clip(self) -> None:
        """Count a clip from which a voice is extracted."""
        self._clips.inc()

    def dropped(self, surface: str) -> None:
        """Count a client that was dropped because it took none of its data."""
        self._dropped.labels(surface).inc()

    def answered(self, method: str, route: str, status: int) -> None:
        """Count an HTTP request that was answered. `route` is the pattern, not the path."""
        self._answers.labels(method, route, status).inc()

    def hung_up(self, source: str, code: str) -> None:
        """Count a client's connection that was closed with an error."""
        self._hung_up.labels(source, code).inc()

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Add a gauge whose value `read` returns whenever the metrics are collected."""
        Gauge(f"tts_{name}", text, registry=self._registry).set_function(read)

    def watch_each(self, name: str, text: str, label: str, reads: Mapping[str, Callable[[], float]]) -> None:
        """Add such a gauge for each value of a label."""
        gauge = Gauge(f"tts_{name}", text, [label], registry=self._registry)
        for value, read in reads.items():
            gauge.labels(value).set_function(read)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def _counter(self, name: str, text: str, labels: str) -> Counter:
        return Counter(f"tts_{name}", text, labels.split(), registry=self._registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"tts_{name}", text, ["model"], buckets=buckets, registry=self._registry)


def resident_bytes(pid: int | None) -> int:
    """Return the resident memory of a process in bytes; 0 if there is no such process or no /proc."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")

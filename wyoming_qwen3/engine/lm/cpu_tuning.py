"""How far ahead the kernels prefetch weights: measured once for each processor and pack, and kept beside the pack.

No distance is best everywhere: some processors prefetch by themselves and are slowed down by being told. The result of
a product does not depend on it. Knows decode steps and a file; does NOT know how products are computed.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from wyoming_qwen3.engine.cpu_load import CpuTimes
from wyoming_qwen3.engine.measured_here import read_measured, write_measured

_LOGGER = logging.getLogger(__name__)

DISTANCES = (0, 2048, 8192)
"""The distances in bytes that are tried; 0 leaves prefetching to the processor."""

DecodeStep = Callable[[], object]

_ROUNDS = 10
_CLEARLY = 1.03


def tuned(file: Path, key: Mapping[str, object], step: Callable[[int], DecodeStep]) -> int:
    """Return the distance in `file` if it was measured for `key`; else measure it and write the file.

    `step` returns a decode step that prefetches that far. What was measured while other programs kept the processor
    busy may be wrong by half of the speed: it is used until the next start, which measures again. So does each start
    if the file can't be written.
    """
    if (known := read_measured(file, key, _distance)) is not None:
        return known
    before = CpuTimes.now()
    distance = fastest(_measure({distance: step(distance) for distance in DISTANCES}))
    disturbed = CpuTimes.now().disturbed_since(before)
    again = ", until the next start: other programs kept it busy" if disturbed else ""
    _LOGGER.info("Weights are prefetched %d bytes ahead on this processor%s", distance, again)
    write_measured(file, key, {"distance": distance, "disturbed": disturbed})
    return distance


def fastest(seconds: Mapping[int, Sequence[float]]) -> int:
    """Return the distance with the shortest time: all that disturbs a measurement makes it longer.

    Without prefetching nothing can be far wrong, so a distance must be clearly faster than 0.
    """
    return min(seconds, key=lambda distance: min(seconds[distance]) * (_CLEARLY if distance else 1.0))


def _measure(steps: Mapping[int, DecodeStep]) -> Mapping[int, Sequence[float]]:
    """Time the steps in turns: the first round only warms up, but it is never the shortest."""
    seconds: dict[int, list[float]] = {distance: [] for distance in steps}
    for _ in range(_ROUNDS):
        for distance, step in steps.items():
            start = perf_counter()
            step()
            seconds[distance].append(perf_counter() - start)
    return seconds


def _distance(content: Mapping[str, Any]) -> int | None:
    """Return the distance in a file; None if it may be wrong. Raises ValueError if it is none of those tried."""
    distance = DISTANCES[DISTANCES.index(content["distance"])]
    return None if content["disturbed"] else distance

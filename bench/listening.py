"""What a listener notices of an answer that comes in chunks. Pure: times in, figures out."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median, quantiles


@dataclass(frozen=True)
class Chunk:
    """Sound that came `at` so many seconds after the request, and is so many `seconds` long."""

    at: float
    seconds: float


@dataclass(frozen=True)
class Stalls:
    """How often playback that began with the first chunk stood still, and for how many seconds in all."""

    count: int = 0
    seconds: float = 0.0


def stalls(chunks: Sequence[Chunk]) -> Stalls:
    """What real-time playback without any buffer suffers; after a stall it goes on with the chunk it waited for."""
    count, waited = 0, 0.0
    if chunks:
        runs_out = chunks[0].at
        for chunk in chunks:
            if chunk.at > runs_out:
                count += 1
                waited += chunk.at - runs_out
            runs_out = max(runs_out, chunk.at) + chunk.seconds
    return Stalls(count, waited)


def p50_p95(values: Sequence[float]) -> tuple[float, float]:
    """Median and 95th percentile; of a single value itself."""
    return median(values), quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else values[0]


def unfairness(values: Sequence[float]) -> float:
    """The worst by the mean: 1 where all are served alike."""
    return max(values) / fmean(values)

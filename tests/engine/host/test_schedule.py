"""Which rows are stepped together, and that the host does so, with an engine whose steps take time."""

import math
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.hardware import Selection
from wyoming_qwen3.core.request import FRAME_SAMPLES, CodeArray, Priority, SpeechRequest
from wyoming_qwen3.core.speakers import SPEAKERS
from wyoming_qwen3.engine import wire
from wyoming_qwen3.engine.host.process import Host
from wyoming_qwen3.engine.host.schedule import ENOUGH, Candidate, Costs, choose

NOW, NEXT, LAST = Priority


def slow(rows: int) -> float:
    """A processor that hardly keeps up with one row."""
    return 0.05 + 0.025 * rows


def fast(rows: int) -> float:
    """A GPU."""
    return 0.008 + 0.001 * rows


def middling(rows: int) -> float:
    """A processor that can take two rows along without anybody hearing it."""
    return 0.015 * rows


@pytest.mark.parametrize(
    ("cost", "candidates", "chosen"),
    [
        (slow, [], []),
        (slow, [(1, NOW, None)], [1]),
        # What is heard goes on alone until there is enough of it in hand, where a step is long.
        (slow, [(1, NOW, 0.4), (2, NEXT, None), (3, LAST, None)], [1]),
        (slow, [(1, NOW, ENOUGH), (2, NEXT, None), (3, LAST, None)], [1, 2, 3]),
        (slow, [(2, NEXT, None), (3, LAST, None)], [2, 3]),
        (slow, [(3, LAST, None), (4, LAST, None)], [3, 4]),
        # Two who listen share; who has enough waits for who has not.
        (slow, [(1, NOW, 0.4), (2, NOW, 0.1)], [1, 2]),
        (slow, [(1, NOW, 5.0), (2, NOW, 0.1), (3, LAST, None)], [2]),
        (slow, [(1, NOW, -3.0), (2, NOW, None)], [1, 2]),
        # Where steps stay short all come along, what is heard sooner first, but none before a first sound.
        (fast, [(1, NOW, 0.4), (3, LAST, None), (2, NEXT, None)], [1, 2, 3]),
        (fast, [(1, NOW, None), (2, NEXT, None), (3, LAST, None)], [1]),
        (fast, [(1, NOW, 5.0), (2, NOW, None)], [2]),
        (middling, [(4, LAST, None), (1, NOW, 0.4), (3, NEXT, None), (2, NOW, 5.0)], [1, 2, 3]),
    ],
)
def test_who_is_stepped(
    cost: Callable[[int], float], candidates: list[tuple[int, Priority, float | None]], chosen: list[int]
) -> None:
    assert choose([Candidate(*candidate) for candidate in candidates], cost) == chosen


def test_costs_are_those_measured_lately() -> None:
    costs = Costs()
    assert costs.of(3) == math.inf
    costs.add(1, 0.05)
    assert costs.of(1) == pytest.approx(0.05)
    assert costs.of(3) == pytest.approx(0.15), "What was never tried is not taken to be cheap."
    costs.add(3, 0.06)
    assert costs.of(2) == pytest.approx(0.1)
    assert costs.of(3) == pytest.approx(0.06)
    for _ in range(50):
        costs.add(1, 0.02)
    assert costs.of(1) == pytest.approx(0.02, abs=1e-3)


class SlowEngine:
    """Each step takes so long; each row sends a frame a step, ten in all. It remembers what was asked of it."""

    selection = Selection("cpu", "0.6B", "float32", "Speech runs on the CPU.")
    weight_bytes = 1
    batch_invariant = True
    fatal: tuple[type[Exception], ...] = ()

    def __init__(self, seconds: float) -> None:
        self.admitted: list[int] = []
        self.steps: list[list[int]] = []
        self._seconds = seconds
        self._frames: dict[int, int] = {}

    def measure(self) -> wire.Room:
        return wire.Room(1 << 30, 0)

    def load(self, checkpoint: Checkpoint, path: Path, report: wire.OnProgress) -> wire.Loaded:  # noqa: ARG002
        return wire.Loaded(0, "int8")

    def gauge(self, checkpoint: Checkpoint, spare: Callable[[], bool]) -> wire.Loaded | None:  # noqa: ARG002
        return None

    def unload(self, checkpoint: Checkpoint) -> None: ...

    def compute(self, job: wire.ClipJob) -> CodeArray:
        raise NotImplementedError

    def admit(self, opening: wire.Opening) -> None:
        self.admitted.append(opening.row)
        self._frames[opening.row] = 0

    def add_text(self, row: int, text: str) -> None: ...

    def end_text(self, row: int) -> None: ...

    def cancel(self, row: int) -> None:
        self._frames.pop(row, None)

    def waiting(self, row: int) -> bool:  # noqa: ARG002
        return False

    def step(self, rows: Collection[int]) -> Iterator[wire.Output]:
        self.steps.append(list(rows))
        time.sleep(self._seconds)
        for row in list(rows):
            self._frames[row] += 1
            yield wire.Audio(row, bytes(4 * FRAME_SAMPLES))
            if self._frames[row] == 10:
                yield wire.Ended(row)


def opening(row: int, priority: Priority) -> wire.Submit:
    return wire.Submit(row, None, SpeechRequest(SPEAKERS[0]), "Hi.", live=False, credit=10**9, priority=priority)


def played(engine: SlowEngine, *messages: wire.ToEngine, ends: int) -> list[int]:
    """Have a host work on these messages, which come at once, until so many rows have ended; these in order."""
    ours, theirs = socket.socketpair()
    ended: list[int] = []
    with ours, theirs:
        for message in messages:
            ours.sendall(wire.pack(message))
        host = Host(theirs, engine)
        threading.Thread(target=_serve, args=(host, len(messages)), daemon=True).start()
        while len(ended) < ends:
            output = wire.receive_blocking(ours)
            if isinstance(output, wire.Ended):
                ended.append(output.row)
    return ended


def _serve(host: Host, messages: int) -> None:
    """As `run` does, but for ending the process when the pipe is closed."""
    for _ in range(messages):
        message = wire.receive_blocking(host._pipe)
        assert message is not None
        host._inbox.put(message)
    try:
        host._serve()
    except OSError:
        return


def test_what_is_heard_now_is_made_first_and_nothing_else_is_begun_before() -> None:
    engine = SlowEngine(0.06)
    priorities = {1: LAST, 2: NEXT, 3: NOW, 4: NEXT}
    ended = played(engine, *(opening(row, priority) for row, priority in priorities.items()), ends=4)
    assert engine.steps[:10] == [[3]] * 10
    assert ended[0] == 3
    assert engine.admitted[0] == 3
    assert sorted(engine.admitted) == [1, 2, 3, 4]
    assert engine.steps[10:13] == [[1], [1, 2], [1, 2, 4]], "What nobody waits for is begun one at a time."


def test_the_next_piece_goes_first_when_its_turn_has_come() -> None:
    engine = SlowEngine(0.06)
    ended = played(engine, opening(1, LAST), opening(2, NEXT), wire.SetPlaying(2, 0.5), ends=2)
    assert ended == [2, 1]
    assert engine.steps[:10] == [[2]] * 10


def test_a_listener_with_enough_in_hand_lets_others_go_on() -> None:
    engine = SlowEngine(0.06)
    played(engine, opening(1, LAST), opening(2, NEXT), wire.SetPlaying(2, ENOUGH + 60.0), ends=2)
    assert [1, 2] in engine.steps


def test_a_row_that_was_never_begun_can_be_cancelled() -> None:
    engine = SlowEngine(0.06)
    assert played(engine, opening(1, LAST), opening(2, NOW), wire.Cancel(1), ends=2) == [1, 2]
    assert engine.admitted == [2]


def test_a_row_is_made_no_further_than_its_listener_allows() -> None:
    engine = SlowEngine(0.01)
    short = replace(opening(1, NOW), credit=3 * FRAME_SAMPLES)
    assert played(engine, short, opening(2, NOW), ends=1) == [2]
    assert sum(1 in rows for rows in engine.steps) == 3

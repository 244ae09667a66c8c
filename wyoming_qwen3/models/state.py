"""The state of each checkpoint, its events, and the error that follows from it. Knows no process, disk or protocol."""

import asyncio
import contextlib
import enum
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wyoming_qwen3.core.checkpoints import PUBLISHED, Checkpoint
from wyoming_qwen3.core.errors import (
    DownloadFailed,
    ModelDamaged,
    ModelLoading,
    ModelMissing,
    ModelNotFound,
    SpeechError,
)
from wyoming_qwen3.engine.checkpoint.on_disk import Progress
from wyoming_qwen3.engine.wire import Loaded

from .broadcast import Broadcast, Subscription

DOWNLOAD_IT = "download it (with the download command, or models/download over HTTP)"
"""What a person can do about a missing checkpoint, as part of a sentence."""

_UNHEARD_EVENTS = 256
"""Events that may wait for one listener: about 25 seconds of five downloads, each reporting twice a second."""


class State(enum.Enum):
    """Where a checkpoint is on its way into memory."""

    MISSING = "missing"
    DOWNLOADING = "downloading"
    ON_DISK = "on disk"
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"

    @property
    def available(self) -> bool:
        """Whether such a checkpoint can speak now, or after some seconds of loading."""
        return self in (State.ON_DISK, State.LOADING, State.READY)


EventKind = Literal[
    "missing", "found", "download", "downloaded", "loading", "ready", "measured", "evicted", "lost", "failed"
]
"""What happened to a checkpoint.

`missing`: it is not on disk, or a try to download it failed or was stopped. `found`: it is on disk without a download
by this server. `download`: its download started or progressed. `measured`: its speed is known now. `evicted`: it was
unloaded to make room, after idle time or on request, or a person stopped its load. `lost`: the engine process died.
"""


@dataclass(frozen=True)
class KernelProgress:
    """GPU kernels of a checkpoint that is being loaded: `done` are compiled, of `total`."""

    done: int
    total: int


@dataclass(frozen=True)
class Status:
    """A snapshot of one checkpoint, for whoever shows it."""

    checkpoint: Checkpoint
    state: State
    progress: Progress | None
    """Bytes of the download that are there, or of the load; None if neither goes on or its size is not known yet."""

    kernels: KernelProgress | None
    """GPU kernels that are being compiled for it; None if there are none."""

    error: SpeechError | None
    """Why it is missing or failed; None if nothing went wrong."""

    footprint: int
    """Bytes in memory; 0 if it is not ready."""

    disk: int
    """Bytes in its folder when that was last looked at, including parts of a download."""

    users: int
    """How many callers use it or wait for it."""

    last_used: float | None
    """When it was last used or loaded, in seconds since 1970; None if never."""

    weights: str | None = None
    """How its weights are stored in memory, such as "int8" or "bfloat16"; None if it is not ready."""

    speed: float | None = None
    """How fast it speaks on this CPU, in times real time; None if that is not known."""


@dataclass(frozen=True)
class Event:
    """One change, and the checkpoint's status right after it."""

    kind: EventKind
    status: Status


@dataclass(eq=False)
class Model:
    """One checkpoint's state. The manager changes it; others may only read it."""

    checkpoint: Checkpoint
    state: State
    progress: Progress | None = None
    kernels: KernelProgress | None = None
    error: SpeechError | None = None
    loaded: Loaded | None = None
    """What the engine said of it; None if it is not ready."""

    disk: int = 0
    users: int = 0
    last_used: float = 0.0
    """When it was last used or loaded, by time.monotonic(); 0 before the first time."""

    failed: float = 0.0
    """When it failed, by time.monotonic()."""

    wanted: bool = False
    """Whether somebody asked to speak with it while it was missing: it is loaded once it is downloaded."""

    path: Path | None = None
    """Where it was when it was last looked for; None before that."""

    damage: ModelDamaged | None = None
    """What was wrong with its files when they were last looked at, until they are downloaded again."""

    declined: bool = False
    """Whether a person stopped its download: then only a person starts it again."""

    stopped: bool = False
    """Whether a person stopped its last load."""

    fetching: "asyncio.Task[None] | None" = None
    loading: "asyncio.Task[None] | None" = None

    @property
    def footprint(self) -> int:
        """Bytes in memory; 0 if it is not ready."""
        return self.loaded.footprint if self.loaded else 0

    @property
    def available(self) -> bool:
        """Whether it can speak now, or after some seconds of loading."""
        return self.state.available

    def status(self) -> Status:
        """Return a snapshot."""
        used = round(time.time() - time.monotonic() + self.last_used, 3) if self.last_used else None
        loaded = self.loaded
        return Status(
            *(self.checkpoint, self.state, self.progress, self.kernels, self.error),
            *(self.footprint, self.disk, self.users, used),
            weights=loaded.weights if loaded else None,
            speed=loaded.speed if loaded else None,
        )

    def explain(self) -> SpeechError:
        """Return the error that tells the caller why it can't speak now."""
        name = self.checkpoint.name
        missing = "" if self.damage else f"{name} is missing: "  # the error itself mentions the damage
        match self.state:
            case State.DOWNLOADING if self.progress and self.progress.total:
                share = 100 * self.progress.done / self.progress.total
                gigabytes, left = self.progress.total / 1e9, _time_left(self.progress.seconds_left)
                return ModelLoading(f"{name} is being downloaded: {share:.0f} % of {gigabytes:.1f} GB so far{left}.")
            case State.DOWNLOADING:
                return ModelLoading(f"{name} is about to be downloaded.")
            case State.MISSING if isinstance(self.error, DownloadFailed) and self.error.transient:
                return ModelLoading(f"{missing}{self.error} The server will try again.")
            case State.FAILED if isinstance(self.error, DownloadFailed):
                return DownloadFailed(f"{missing}{self.error}")
            case State.FAILED if self.error:
                return self.error
            case State.MISSING:
                where = "is not in the models folder"
                if self.declined:
                    where += ", because its download was stopped"
                elif self.disk:
                    where = "is in the models folder only in part, because its download did not finish"
                return ModelMissing(f"{name} {where}; {DOWNLOAD_IT}, or copy it there.")
            case State.LOADING if self.kernels:
                done, total = self.kernels.done, self.kernels.total
                return ModelLoading(f"{name} is being loaded: compiling the GPU kernels, {done} of {total}.")
            case State.ON_DISK if self.stopped:
                return ModelLoading(f"{name} was being loaded, but a person stopped that; ask again to load it.")
            case _:
                return ModelLoading(f"{name} is being loaded.")


def _time_left(seconds: float | None) -> str:
    """Return the time left as the end of a sentence; "" if it is not known."""
    if seconds is None:
        return ""
    if seconds < 90:
        return f", about {max(round(seconds, -1), 10):.0f} seconds left"
    return f", about {seconds / 60:.0f} minutes left" if seconds < 5400 else f", about {seconds / 3600:.0f} hours left"


class CheckpointStates:
    """All published checkpoints, and the one place where the state of one changes."""

    def __init__(self) -> None:
        self.models = tuple(Model(checkpoint, State.MISSING) for checkpoint in PUBLISHED)
        self.changed = asyncio.Event()
        """Set on each change; whoever waits for one clears it first."""

        self._events = Broadcast[Event](_UNHEARD_EVENTS)

    def find(self, checkpoint: Checkpoint) -> Model:
        """Return the checkpoint's state. Raises ModelNotFound if no such checkpoint is published."""
        for model in self.models:
            if model.checkpoint == checkpoint:
                return model
        names = ", ".join(model.checkpoint.name for model in self.models)
        raise ModelNotFound(f"There is no checkpoint {checkpoint.name}; choose one of {names}.", param="model")

    def in_state(self, *states: State) -> list[Model]:
        """Return all checkpoints that are in one of these states."""
        return [model for model in self.models if model.state in states]

    def statuses(self) -> list[Status]:
        """Return snapshots of all checkpoints."""
        return [model.status() for model in self.models]

    def watch(self) -> contextlib.AbstractContextManager[Subscription[Event]]:
        """Return a context with an iterator over the events from entering it on."""
        return self._events.subscribe()

    def change(
        self,
        model: Model,
        kind: EventKind,
        state: State,
        *,
        error: SpeechError | None = None,
        progress: Progress | None = None,
        kernels: KernelProgress | None = None,
        loaded: Loaded | None = None,
    ) -> None:
        """Set a new state with the values that belong to it, and publish an event."""
        model.state, model.error, model.loaded = state, error, loaded
        model.progress, model.kernels = progress, kernels
        self.changed.set()
        self._events.publish(Event(kind, model.status()))

    def note_kernels(self, model: Model, done: int, total: int) -> None:
        """Note how many GPU kernels are compiled for a checkpoint that is being loaded."""
        if model.state is State.LOADING:
            self.change(model, "loading", State.LOADING, kernels=KernelProgress(done, total))

    def fail(self, model: Model, error: SpeechError) -> None:
        """Mark a checkpoint as failed, because it can't be downloaded or loaded."""
        model.failed = time.monotonic()
        self.change(model, "failed", State.FAILED, error=error)

    def close(self) -> None:
        """End all subscriptions."""
        self._events.end()

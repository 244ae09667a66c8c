"""Who speaks an utterance: the engine process, vLLM servers, or the standby voice."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Protocol, Self

from .checkpoints import KIND_NAMES, Checkpoint
from .cloning import ClonePrompts
from .errors import BackendUnavailable, EngineFailed, InvalidRequest, SpeechError, Unavailable
from .models.manager import ModelManager, choose_model
from .models.state import Model, State
from .remote.servers import Servers
from .request import FloatArray, Kept, Reference, SpeechRequest, StandbyMode, Turn
from .standby import StandbyVoice, choose_engine, language_matters, standby_mode
from .text.language import LanguageGuesser
from .worker import Row, Worker

_SIDE_BY_SIDE = 3
"""Pieces of one answer that are made at a time: more rows of a step gain little on a CPU."""


class Sound(Protocol):
    """One piece of text being spoken; leave its context to stop it.

    Iterating raises a SpeechError where the audio can't be completed.
    """

    text_tokens: int
    made: asyncio.Event
    """Whether all of it is made, though its listener may not be through with it."""

    @property
    def frames(self) -> int:
        """Codec frames of its audio."""

    def hear(self, in_hand: float) -> None:
        """Its turn has come; who listens has so many seconds of sound in hand beside what is there of this."""

    def __aiter__(self) -> AsyncIterator[FloatArray]: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class Engaged(Protocol):
    """Who speaks one utterance, piece after piece."""

    @property
    def model(self) -> str:
        """Name of the checkpoint, or "standby"."""

    @property
    def side_by_side(self) -> int:
        """How many pieces may be made at a time, without changing any of them."""

    def submit(self, text: str, turn: Turn = ...) -> Sound:
        """Have a piece of text spoken; use it as a context manager."""


@dataclass(frozen=True)
class Local:
    """An engine process; `checkpoint` is None for the standby voice."""

    worker: Worker
    checkpoint: Checkpoint | None
    request: SpeechRequest

    @property
    def model(self) -> str:
        """Name of the checkpoint, or "standby"."""
        return self.checkpoint.name if self.checkpoint else "standby"

    @property
    def side_by_side(self) -> int:
        """How many pieces may be made at a time, without changing any of them."""
        hello = self.worker.hello
        return _SIDE_BY_SIDE if self.checkpoint and hello and hello.apart else 1

    def submit(self, text: str, turn: Turn = Turn.NOW, *, live: bool = False) -> Row:
        """Have a piece of text spoken; one that is `live` is fed more of it."""
        return self.worker.submit(self.checkpoint, self.request, text, live=live, turn=turn)


class Engines:
    """Chooses for each utterance among what there is: the native engine where it is ready, then servers, then others.

    Without `servers` there is the native engine alone, and where `models` has no engine the servers alone, each beside
    the standby voice.
    """

    def __init__(
        self,
        models: ModelManager,
        standby: StandbyVoice,
        guesser: LanguageGuesser,
        prompts: ClonePrompts,
        *,
        servers: Servers | None = None,
        mode: StandbyMode = "auto",
    ) -> None:
        self._models = models
        self._standby = standby
        self._guesser = guesser
        self._prompts = prompts
        self._servers = servers
        self._mode = mode

    def check(self, request: SpeechRequest) -> None:
        """Raise what would come of it if nobody could ever speak it here."""
        if standby_mode(self._mode, request.standby) == "only":
            return
        try:
            if self._models.has_engine:
                choose_model(request, self._models.size)
                return
        except InvalidRequest:
            if self._servers is None:
                raise
        if self._servers:
            with contextlib.suppress(BackendUnavailable):
                self._servers.choose(request)

    async def reads_along(self, request: SpeechRequest) -> bool:
        """Whether text that still comes can be fed to the model's own text track."""
        if standby_mode(self._mode, request.standby) == "only":
            return False
        model, _ = await self._look(request)
        return model is not None and model.state is State.READY

    async def missing(self, checkpoint: Checkpoint) -> SpeechError | None:
        """Why nothing speaks with such a checkpoint now, if so; its download begins, if the server may."""
        if self._servers and any(up and one.kind == checkpoint.kind for one, up in self._servers.served().items()):
            return None
        if not self._models.has_engine:
            return BackendUnavailable(f"No vLLM server that serves {KIND_NAMES[checkpoint.kind]} is up.")
        model = await self._models.look(checkpoint)
        return None if model.available else model.explain()

    @contextlib.asynccontextmanager
    async def engage(self, request: SpeechRequest, text: str, *, live: bool = False) -> AsyncIterator[Engaged]:
        """Who speaks this request, whose first piece is `text`, the whole utterance long.

        A `live` one is fed words, which only the native engine takes. Raises Unavailable where nobody can speak it now,
        InvalidRequest where nobody ever can.
        """
        async with contextlib.AsyncExitStack() as held:
            yield await self._engage(held, request, text, live=live)

    async def _engage(
        self, held: contextlib.AsyncExitStack, request: SpeechRequest, text: str, *, live: bool
    ) -> Engaged:
        mode = standby_mode(self._mode, request.standby)
        model, why = (None, None) if mode == "only" else await self._look(request)
        state = model.state if model else None
        if self._servers and mode != "only" and state is not State.READY and not live:
            try:
                asked = await self._with_clips(request)
                return await held.enter_async_context(self._servers.speaker(asked, text))
            except (Unavailable, EngineFailed) as error:
                why = error
            except InvalidRequest as error:
                if model is None:
                    raise
                why = error
        unknown = request.language is None and language_matters(mode, state)
        guessed = await asyncio.to_thread(self._guesser.guess, text) if unknown else None
        chosen = choose_engine(mode, state, request, guessed)
        if chosen == "standby":
            return Local(await held.enter_async_context(self._standby.use()), None, request)
        if model and chosen == "qwen3":
            return await self._load(held, model.checkpoint, request)
        raise model.explain() if model else why or BackendUnavailable("Nobody can speak this now.")

    async def _look(self, request: SpeechRequest) -> tuple[Model | None, SpeechError | None]:
        """The native engine's checkpoint as it is now, if it has one for the request, else why it hasn't."""
        if not self._models.has_engine:
            return None, None
        try:
            checkpoint = choose_model(request, self._models.size)
        except InvalidRequest as error:
            if self._servers is None:
                raise
            return None, error
        return await self._models.look(checkpoint), None

    async def _load(self, held: contextlib.AsyncExitStack, checkpoint: Checkpoint, request: SpeechRequest) -> Local:
        worker = await held.enter_async_context(self._models.use(checkpoint))
        if isinstance(request.voice, Reference | Kept):
            request = replace(request, voice=await self._prompts.prompt(worker, checkpoint, request.voice))
        return Local(worker, checkpoint, request)

    async def _with_clips(self, request: SpeechRequest) -> SpeechRequest:
        """The same with a kept voice as its clips: what the native engine reads out of them is of no use elsewhere."""
        if isinstance(request.voice, Kept):
            return replace(request, voice=await self._prompts.reference(request.voice))
        return request

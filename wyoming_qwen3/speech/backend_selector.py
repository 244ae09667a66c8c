"""Chooses the backend of an utterance: the engine process, a vLLM server, or the standby voice."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from wyoming_qwen3.core.checkpoints import KIND_NAMES, Checkpoint, Size, other_size, published
from wyoming_qwen3.core.errors import (
    BackendUnavailable,
    EngineFailed,
    InvalidRequest,
    OutOfMemory,
    SpeechError,
    Unavailable,
)
from wyoming_qwen3.core.instructions import as_spoken
from wyoming_qwen3.core.request import KeptVoiceRef, Reference, SpeechRequest, StandbyMode, kind_for
from wyoming_qwen3.core.speakers import SPEAKERS, Speaker, find_language
from wyoming_qwen3.models.manager import ModelManager
from wyoming_qwen3.models.model_choice import choose_instead, choose_model, choose_smaller, find_follower
from wyoming_qwen3.models.state import Model, State, Status
from wyoming_qwen3.models.worker import Worker
from wyoming_qwen3.text.language import LanguageGuesser
from wyoming_qwen3.vllm.servers import Servers, VllmBackend
from wyoming_qwen3.voices.clone_prompts import ClonePrompts

from .backend import Backend, EngineBackend
from .standby import StandbyVoice, choose_engine, language_matters, standby_mode
from .verbalizer import Verbalizer

Aside = Callable[[], AbstractAsyncContextManager[None]]
"""Returns a context to enter while waiting for something other than speech, so that others may speak meanwhile."""

_MAX_LOADS_OUT_OF_MEMORY = 2
"""How often memory may run out in loads for one utterance: that of a large checkpoint and of a small one."""

_PLAIN = SpeechRequest(SPEAKERS[0])
"""A request that the standby voice could speak instead of Qwen3."""


def speakers_ready(statuses: Iterable[Status], size: Size, *, open_size: bool) -> bool:
    """Return whether the checkpoint that speaks for a named speaker is in memory.

    That is the one of the server's `size`, or the one that `choose_instead` returns. `statuses` must contain all
    published checkpoints.
    """
    found = {status.checkpoint: status for status in statuses}
    main = found[choose_model(_PLAIN, size)]
    instead = choose_instead(_PLAIN, main, open_size=open_size)
    return main.state is State.READY or (instead is not None and found[instead].state is State.READY)


class BackendSelector:
    """Chooses a backend for each utterance: the native engine if it is ready, else a vLLM server if one can speak.

    Otherwise the request waits until the native engine is loaded, or the standby voice speaks (see `choose_engine`).
    Without `servers` there are only the native engine and the standby voice. If `models` has no engine there are only
    the servers and the standby voice.

    With `waits`, the standby voice speaks only if no checkpoint on disk can: for a command that speaks one text, and
    has nobody who listens meanwhile.
    """

    def __init__(
        self,
        models: ModelManager,
        standby: StandbyVoice,
        guesser: LanguageGuesser,
        prompts: ClonePrompts,
        verbalizer: Verbalizer,
        *,
        servers: Servers | None = None,
        mode: StandbyMode = "auto",
        waits: bool = False,
    ) -> None:
        self._models = models
        self._standby = standby
        self._guesser = guesser
        self._prompts = prompts
        self._verbalizer = verbalizer
        self._servers = servers
        self._mode = mode
        self._waits = waits
        self._ran_out: set[Checkpoint] = set()
        """Checkpoints that memory ran out for in speech, and that have spoken nothing to its end since."""

    async def check(self, request: SpeechRequest) -> None:
        """Raise InvalidRequest if no backend of this server could ever speak the request."""
        if standby_mode(self._mode, request.standby) == "only":
            return
        try:
            if self._models.has_engine:
                if request.strict:  # whether it can be spoken as it is depends on the size
                    await self._models.settle()
                choose_model(request, self._models.size, await self._at_hand(request))
                return
        except InvalidRequest:
            if self._servers is None:
                raise
        if self._servers:
            with contextlib.suppress(BackendUnavailable):
                self._servers.choose(request)

    def qwen3_speaks(self) -> bool:
        """Return whether Qwen3, and not the standby voice, would speak for a named speaker now."""
        if self._mode == "only":
            return False
        if self._servers:
            with contextlib.suppress(SpeechError):
                if self._servers.served()[self._servers.choose(_PLAIN)]:
                    return True
        return self._models.has_engine and speakers_ready(
            self._models.statuses(), self._models.size, open_size=self._models.open_size
        )

    async def reads_along(self, request: SpeechRequest) -> bool:
        """Return whether text that still arrives can be fed to the model's own text track."""
        if standby_mode(self._mode, request.standby) == "only":
            return False
        model, _ = await self._look(request)
        return model is not None and model.state is State.READY

    async def missing(self, checkpoint: Checkpoint) -> SpeechError | None:
        """Return why no backend can speak with a checkpoint of this kind now; None if one can.

        If it is missing here, its download starts, unless the server may not download it or a person stopped that.
        """
        if self._servers and any(up and one.kind == checkpoint.kind for one, up in self._servers.served().items()):
            return None
        if not self._models.has_engine:
            return BackendUnavailable(f"No vLLM server that serves {KIND_NAMES[checkpoint.kind]} is up.")
        model = await self._models.want(checkpoint)
        other = other_size(checkpoint) if self._models.open_size else None
        if model.available or (other and await self._models.find_on_disk(other)):
            return None
        return model.explain()

    async def lacking(self, request: SpeechRequest) -> SpeechError | None:
        """Return why Qwen3 can't speak the request now, not even when it is loaded; None if it can.

        Until the size is known, nothing is lacking.
        """
        if standby_mode(self._mode, request.standby) != "auto" or not self._models.settled:
            return None
        return await self.missing(published(kind_for(request.voice), request.size or self._models.size))

    @contextlib.asynccontextmanager
    async def engage(
        self, request: SpeechRequest, text: str, aside: Aside = contextlib.nullcontext, *, live: bool = False
    ) -> AsyncIterator[Backend]:
        """Yield the backend that speaks this request, whose next piece is `text`.

        `aside` is entered while a checkpoint is loaded or a clip is read. For a `live` request, words are fed to the
        model, which only the native engine supports. Raises Unavailable if no backend can speak it now, and
        InvalidRequest if none ever can.

        If the body raises OutOfMemory, memory is freed for the next request before the error goes on to the caller.
        """
        speaker, again = None, False
        try:
            async with contextlib.AsyncExitStack() as held:
                backend = await self._engage(held, request, text, aside, live=live)
                if isinstance(backend, EngineBackend) and backend.checkpoint:
                    speaker, again = backend.checkpoint, backend.checkpoint in self._ran_out
                yield backend
        except OutOfMemory:
            if speaker:  # it is no longer in use here, and may be the one to unload
                self._ran_out.add(speaker)
                give_up = again or choose_smaller(request, speaker) is not None
                await self._models.relieve(speaker, give_up=give_up)
            raise
        if speaker:
            self._ran_out.discard(speaker)

    async def reuse_for(self, backend: Backend, request: SpeechRequest) -> Backend | None:
        """Return the backend that speaks another request with what `backend` has engaged; None if it needs more.

        Nothing is downloaded or loaded for that, and only a checkpoint in memory is a reason to need another one.
        """
        if isinstance(backend, EngineBackend):
            if backend.checkpoint and backend.checkpoint != self._in_memory(request):
                return None
            return await self._backend_on(backend.worker, backend.checkpoint, request)
        if self._servers and isinstance(backend, VllmBackend):
            return await self._servers.reuse_for(backend, await self._with_clips(request))
        return None

    def _in_memory(self, request: SpeechRequest) -> Checkpoint | None:
        """Return the checkpoint that speaks the request, the one that follows its instruction only if in memory."""
        better = find_follower(request, self._models.size)
        found = {status.checkpoint: status for status in self._models.statuses()}
        ready = [checkpoint for checkpoint in found if found[checkpoint].state is State.READY]
        with contextlib.suppress(InvalidRequest):
            chosen = choose_model(request, self._models.size, (better,) if better in ready else ())
            instead = choose_instead(request, found[chosen], open_size=self._models.open_size)
            return instead if instead in ready else chosen
        return None

    async def _engage(
        self, held: contextlib.AsyncExitStack, request: SpeechRequest, text: str, aside: Aside, *, live: bool
    ) -> Backend:
        """Return the best available backend. If a load runs out of memory, try what is smaller."""
        for _ in range(_MAX_LOADS_OUT_OF_MEMORY):
            with contextlib.suppress(OutOfMemory):  # it is recorded, so the next try finds something smaller
                return await self._choose(held, request, text, aside, live=live)
            async with aside():  # a load that fails does not give back what was set aside for it
                pass
        return await self._choose(held, request, text, aside, live=live)

    async def _choose(
        self, held: contextlib.AsyncExitStack, request: SpeechRequest, text: str, aside: Aside, *, live: bool
    ) -> Backend:
        """Return the best backend for the request as everything is now."""
        mode, settled = standby_mode(self._mode, request.standby), self._models.settled
        model, why = (None, None) if mode == "only" else await self._look(request)
        state = model.state if model else None
        if mode == "auto" and model and (self._own_is_ready(request, model) or (self._waits and model.available)):
            mode = "off"  # Qwen3 could speak, or one that follows the instruction is worth a wait
        if mode == "auto" and live:
            mode = "off"  # it was ready a moment ago, and the standby voice takes complete texts only
        if self._servers and mode != "only" and state is not State.READY and not live:
            try:
                asked = await self._with_clips(request)
                return await held.enter_async_context(self._servers.speaker(asked, text))
            except (Unavailable, EngineFailed, InvalidRequest) as error:
                if model is None and isinstance(error, InvalidRequest):
                    raise
                why = error
        unknown = request.language is None and language_matters(mode, state)
        guessed = await asyncio.to_thread(self._guesser.guess, text) if unknown else None
        if model and settled != self._models.settled:  # so another size may speak
            return await self._choose(held, request, text, aside, live=live)
        chosen = choose_engine(mode, model.state if model else None, request, guessed)  # it may have changed meanwhile
        if chosen == "standby":
            return await self._stand_in(held, request, model, mode)
        if model and not self._models.settled:
            async with aside():
                await self._models.settle()
            return await self._choose(held, request, text, aside, live=live)
        if model and chosen == "qwen3":
            backend = await self._wait_for(held, request, model, aside)
            return backend or await self._choose(held, request, text, aside, live=live)
        raise self._refusal(request, model, why)

    async def _stand_in(
        self, held: contextlib.AsyncExitStack, request: SpeechRequest, model: Model | None, mode: StandbyMode
    ) -> EngineBackend:
        """Return the standby voice. Where it replaces a checkpoint, that is loaded next, and a warning says so."""
        warnings: tuple[str, ...] = ()
        if mode == "auto":
            warnings = (f"The standby voice spoke, because {self._why_not(model)}.",)  # as it is now, before any wait
            if model:
                self._models.load_soon(model.checkpoint)
        backend = await self._backend_on(await held.enter_async_context(self._standby.use()), None, request)
        return replace(backend, warnings=(*warnings, *backend.warnings))

    async def _wait_for(
        self, held: contextlib.AsyncExitStack, request: SpeechRequest, model: Model, aside: Aside
    ) -> EngineBackend | None:
        """Return the native engine once the checkpoint is loaded and a clip is read; `aside` is entered for both.

        None if the engine died while `aside` was left.
        """
        waits = model.state is not State.READY or isinstance(request.voice, Reference | KeptVoiceRef)
        async with contextlib.AsyncExitStack() as using:
            async with aside() if waits else contextlib.nullcontext():
                worker = await using.enter_async_context(self._models.use(model.checkpoint))
                backend = await self._backend_on(worker, model.checkpoint, request)
            if model.state is not State.READY:
                return None
            await held.enter_async_context(using.pop_all())
        return backend

    def _refusal(self, request: SpeechRequest, model: Model | None, why: SpeechError | None) -> SpeechError:
        """Return the error of a request that nothing can speak now."""
        reason = model.explain() if model else why or BackendUnavailable("Nothing can speak this now.")
        if request.standby == "off" and self._mode != "off" and isinstance(request.voice, Speaker):
            return type(reason)(f"{reason} {_WAYS_OUT}", param=reason.param)
        return reason

    async def _look(self, request: SpeechRequest) -> tuple[Model | None, SpeechError | None]:
        """Return the native engine's checkpoint for the request in its current state, or the reason why it has none.

        Both are None if there is no native engine. Until the size is known, the checkpoint counts as being loaded, but
        with `waits` as missing if it is on disk in no size.
        """
        if not self._models.has_engine:
            return None, None
        if not self._models.settled:
            kind = kind_for(request.voice)
            missing = self._waits and not await self._models.on_disk(kind)
            return Model(published(kind, self._models.size), State.MISSING if missing else State.LOADING), None
        try:
            checkpoint = choose_model(request, self._models.size, await self._at_hand(request))
        except InvalidRequest as error:
            if self._servers is None:
                raise
            return None, error
        model = await self._models.want(checkpoint)
        if instead := choose_instead(request, model, open_size=self._models.open_size):
            model = await self._models.find_on_disk(instead) or model
        return model, None

    async def _backend_on(self, worker: Worker, checkpoint: Checkpoint | None, request: SpeechRequest) -> EngineBackend:
        """Return the backend for a request that a loaded checkpoint, or None for the standby voice, can speak."""
        if checkpoint is None:
            await self._verbalizer.prepare(find_language("en"))
            return EngineBackend(
                worker, None, *as_spoken(request, None), verbalize=self._verbalizer.verbalize_for_standby
            )
        if isinstance(request.voice, Reference | KeptVoiceRef):
            request = replace(request, voice=await self._prompts.prompt(worker, checkpoint, request.voice))
        return EngineBackend(worker, checkpoint, *as_spoken(request, checkpoint))

    def _own_is_ready(self, request: SpeechRequest, chosen: Model) -> bool:
        """Return whether the server's own checkpoint is in memory, and `chosen` is another one."""
        own = published(kind_for(request.voice), self._models.size)
        return own != chosen.checkpoint and any(
            status.checkpoint == own and status.state is State.READY for status in self._models.statuses()
        )

    def _why_not(self, model: Model | None) -> str:
        """Return why `model`, which is not ready, does not speak, as the end of a sentence.

        None is a model of vLLM servers.
        """
        if model is None:
            return "no vLLM server can"
        if self._models.settled:
            return f"{model.checkpoint.name} {_NOT_READY[model.state]}"
        there = any(
            status.state.available and status.checkpoint.kind == model.checkpoint.kind
            for status in self._models.statuses()
        )
        looked = self._models.surveyed or model.state is State.MISSING
        return "Qwen3 is starting" if there or not looked else "Qwen3 is not downloaded"

    async def _at_hand(self, request: SpeechRequest) -> tuple[Checkpoint, ...]:
        """Return the checkpoint that follows the request's instruction, if it can speak without being downloaded."""
        better = find_follower(request, self._models.size)
        return (better,) if better and await self._models.at_hand(better) else ()

    async def _with_clips(self, request: SpeechRequest) -> SpeechRequest:
        """Return the request with a kept voice replaced by its clips.

        vLLM servers need those: the clone prompt that the native engine extracts is of no use to them.
        """
        if isinstance(request.voice, KeptVoiceRef):
            return replace(request, voice=await self._prompts.reference(request.voice))
        return request


_WAYS_OUT = (
    'Ask again later, or send the model standby for the English standby voice, or "standby": "auto" to have it speak '
    "until then."
)

_NOT_READY: Mapping[State, str] = {
    State.MISSING: "is not downloaded",
    State.DOWNLOADING: "is being downloaded",
    State.ON_DISK: "is being loaded",
    State.LOADING: "is being loaded",
    State.FAILED: "can't be used",
}

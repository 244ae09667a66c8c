"""The standby voice's process, for the server: up from the start, so that it can speak before anything else can."""

import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Literal

from wyoming_qwen3.core.errors import EngineFailed, LanguageNotSupported, NotSupported
from wyoming_qwen3.core.request import SpeechRequest, StandbyMode
from wyoming_qwen3.core.speakers import Language, Speaker
from wyoming_qwen3.models.state import State
from wyoming_qwen3.models.worker import Worker

_LOGGER = logging.getLogger(__name__)


class StandbyVoice:
    """Starts the standby engine when told to or when needed, and again if it died."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    @property
    def ready(self) -> bool:
        """Whether it could speak at once."""
        return self._worker.running

    async def warm(self) -> None:
        """Have it ready before the first request."""
        try:
            await self._worker.start()
        except EngineFailed:
            _LOGGER.exception("The standby voice could not be started")

    @contextlib.asynccontextmanager
    async def use(self) -> AsyncIterator[Worker]:
        """The engine, running."""
        await self._worker.start()
        yield self._worker

    async def close(self) -> None:
        """End its process."""
        await self._worker.stop()


def standby_mode(configured: StandbyMode, asked: StandbyMode | None) -> StandbyMode:
    """When the standby voice speaks for one request: a server that has nothing else, or has it not, stays so.

    Raises NotSupported where it is asked for and is switched off.
    """
    if asked is None or configured == "only":
        return configured
    if configured == "off" and asked == "only":
        raise NotSupported("The standby voice is switched off on this server (--standby off).", param="model")
    return asked


def language_matters(mode: StandbyMode, state: State | None) -> bool:
    """Whether who speaks depends on the text's language: not where only Qwen3 may speak, nor where it is ready to."""
    return mode == "only" or (mode == "auto" and state is not State.READY)


def choose_engine(
    mode: StandbyMode, state: State | None, request: SpeechRequest, guessed: Language | None
) -> Literal["qwen3", "standby"] | None:
    """Who speaks this request; None for nobody, now.

    The standby voice stands in for a named speaker, in English, while the checkpoint is not ready. A designed or
    cloned voice is never replaced, nor one that follows an instruction, nor one that is a few seconds of loading away
    from a language that only Qwen3 speaks. `guessed` is the language that the text seems to be in, for requests that
    leave it open; `state` is None where nobody has looked, because there is only the standby voice.

    Raises LanguageNotSupported or NotSupported when there is only the standby voice and it can't do what is asked.
    """
    plain = isinstance(request.voice, Speaker) and not request.instruct
    language = request.language or guessed
    english = language is None or language.code == "en"
    if mode == "only":
        if not english:
            raise LanguageNotSupported("The standby voice speaks English only.", param="language")
        if not plain:
            raise NotSupported("The standby voice has one voice and follows no instructions; only Qwen3 can do that.")
        return "standby"
    if state is State.READY:
        return "qwen3"
    if mode == "auto" and english and plain:
        return "standby"
    return "qwen3" if state in (State.ON_DISK, State.LOADING) else None

"""The standby voice on the server's side: its process, and when it speaks instead of Qwen3.

The process is started with the server, so that it can speak before anything else can.
"""

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
    """Starts the standby engine on `warm` or when it is needed, and again if it died."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    @property
    def ready(self) -> bool:
        """Whether it can speak at once."""
        return self._worker.running

    async def warm(self) -> None:
        """Start the engine before the first request. A failure is only logged."""
        try:
            await self._worker.start()
        except EngineFailed:
            _LOGGER.exception("The standby voice could not be started")

    @contextlib.asynccontextmanager
    async def use(self) -> AsyncIterator[Worker]:
        """Start the engine if it is not running, and yield it. Raises EngineFailed if it dies instead."""
        await self._worker.start()
        yield self._worker

    async def close(self) -> None:
        """Stop its process."""
        await self._worker.stop()


def standby_mode(configured: StandbyMode, asked: StandbyMode | None) -> StandbyMode:
    """Return when the standby voice speaks for one request: as `asked`, else as the server is `configured`.

    A server with only the standby voice always uses it. Raises NotSupported if the request asks for the standby voice
    and it is switched off.
    """
    if configured == "off" and asked == "only":
        raise NotSupported("The standby voice is switched off on this server (--standby off).", param="model")
    return asked if asked and configured == "auto" else configured


def language_matters(mode: StandbyMode, state: State | None) -> bool:
    """Return whether the choice of backend depends on the text's language.

    It does not if only Qwen3 may speak, or if Qwen3 is ready and may speak.
    """
    return mode == "only" or (mode == "auto" and state is not State.READY)


def choose_engine(
    mode: StandbyMode, state: State | None, request: SpeechRequest, guessed: Language | None
) -> Literal["qwen3", "standby"] | None:
    """Return what speaks this request; None if nothing can now.

    The standby voice replaces a named speaker, in English, while the checkpoint is not ready. It never replaces a
    designed or cloned voice, nor one with an instruction if the request is strict. A language that only Qwen3 speaks
    waits for the checkpoint if that is on disk or being loaded. `guessed` is the language that the text seems to be in,
    for requests that leave it open. `state` is that of the checkpoint; None if there is none to look at.

    Raises LanguageNotSupported or NotSupported if only the standby voice may speak and it can't do what is asked.
    """
    plain = isinstance(request.voice, Speaker) and not (request.instruct and request.strict)
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

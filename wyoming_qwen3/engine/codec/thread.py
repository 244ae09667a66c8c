"""Decodes chunks on a thread of its own while the language model goes on, and divides the processors between the two.

The language model is limited by memory and the codec by arithmetic, and fewer threads wait less for each other: both
together take less time than one after the other. Knows only kernels, and what they are asked to do.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from wyoming_qwen3.engine.kernels.library import Kernels

_Done = TypeVar("_Done")


class CodecThread:
    """Runs the codec's work in the order in which it is started.

    While it decodes beside the language model, half of the kernels' threads belong to each. Without kernels, or with
    one thread, nothing is done beside anything.
    """

    def __init__(self, language: Kernels | None, codec: Kernels | None) -> None:
        """Both kernels have one thread for each processor."""
        self._both = (language, codec) if language and codec and codec.threads > 1 else None
        self._pool = ThreadPoolExecutor(1, "codec")
        self._changes = threading.Lock()
        self._decoding = 0
        self._awaited = 0

    def start(self, action: Callable[[], _Done], *, at_once: bool) -> Future[_Done]:
        """Run an action that uses the codec: before this returns, or beside the language model."""
        if self._both and not at_once:
            return self._pool.submit(self._decode, action)
        future = Future[_Done]()
        with self._counted(awaited=1):
            try:
                future.set_result(action())
            except Exception as error:
                future.set_exception(error)
        return future

    def wait(self, future: Future[_Done]) -> _Done:
        """Return an action's result or raise its error. The codec has all threads until then: its caller waits, too."""
        with self._counted(awaited=1):
            return future.result()

    def _decode(self, action: Callable[[], _Done]) -> _Done:
        with self._counted(decoding=1):
            return action()

    @contextmanager
    def _counted(self, *, decoding: int = 0, awaited: int = 0) -> Iterator[None]:
        """Count what goes on inside, and divide the threads accordingly."""
        self._count(decoding, awaited)
        try:
            yield
        finally:
            self._count(-decoding, -awaited)

    def _count(self, decoding: int, awaited: int) -> None:
        with self._changes:
            self._decoding += decoding
            self._awaited += awaited
            if self._both:
                language, codec = self._both
                share = codec.threads // 2 if self._decoding and not self._awaited else 0
                language.limit(language.threads - share)
                codec.limit(share or codec.threads)

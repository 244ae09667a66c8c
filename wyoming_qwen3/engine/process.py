"""The engine process: takes rows in from the pipe, steps all that may go on, sends what came of it.

It knows messages and credit, and nothing of how speech is made.
"""

import argparse
import contextlib
import logging
import os
import queue
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass

from wyoming_qwen3.errors import SpeechError

from . import wire
from .base import Engine

_LOGGER = logging.getLogger(__package__)


def main() -> None:
    """Entry point of `python -m wyoming_qwen3.engine.process`; started by the server alone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", choices=("native", "standby"), required=True)
    parser.add_argument("--pipe", type=int, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--log-level", default="INFO")
    arguments = parser.parse_args()
    logging.basicConfig(
        level=logging.WARNING, format=f"%(asctime)s %(levelname)s {arguments.engine} engine: %(message)s"
    )
    _LOGGER.setLevel(arguments.log_level)  # ours alone: upstream's libraries talk much
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the server decides when to stop
    with socket.socket(fileno=arguments.pipe) as pipe:
        Host(pipe, _make_engine(arguments)).run()


def _make_engine(arguments: argparse.Namespace) -> Engine:
    if arguments.engine == "standby":
        from .standby import StandbyEngine  # noqa: PLC0415  onnxruntime belongs to this process alone

        return StandbyEngine()
    from .native import NativeEngine  # noqa: PLC0415  torch belongs to this process alone

    return NativeEngine(arguments.device, arguments.dtype)


@dataclass
class _Seat:
    """One row as the host sees it."""

    credit: int


class Host:
    """Runs one engine for the server at the other end of the pipe, until that end is closed."""

    def __init__(self, pipe: socket.socket, engine: Engine) -> None:
        self._pipe = pipe
        self._engine = engine
        self._seats: dict[int, _Seat] = {}
        self._inbox: queue.SimpleQueue[wire.ToEngine | wire.FromEngine] = queue.SimpleQueue()

    def run(self) -> None:
        """Serve for ever: the reader ends the process when the server is gone."""
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        self._send(wire.Hello(self._engine.device, self._engine.memory, self._engine.weight_bytes))
        while True:
            self._take_messages()
            for output in self._engine.step(self._runnable()):
                self._deliver(output)

    def _read(self) -> None:
        while (message := wire.receive_blocking(self._pipe)) is not None:
            self._inbox.put(message)
        os._exit(0)  # at once, even out of a long step: nobody is left to hear it

    def _runnable(self) -> list[int]:
        return [row for row, seat in self._seats.items() if seat.credit > 0 and not self._engine.waiting(row)]

    def _take_messages(self) -> None:
        """All messages that are there; waits for one when no row can go on."""
        if not self._runnable():
            self._handle(self._inbox.get())
        with contextlib.suppress(queue.Empty):
            while True:
                self._handle(self._inbox.get_nowait())

    def _handle(self, message: wire.ToEngine | wire.FromEngine) -> None:
        match message:
            case wire.Submit(row):
                self._seats[row] = _Seat(message.credit)
                self._ask_engine(row, lambda: self._engine.admit(message))
            case wire.Cancel(row):
                self._engine.cancel(row)
                if self._seats.pop(row, None):
                    self._send(wire.Ended(row))
            case wire.Credit(row, samples) if row in self._seats:
                self._seats[row].credit += samples
            case wire.Feed(row, text) if row in self._seats:
                self._ask_engine(row, lambda: self._engine.feed(row, text))
            case wire.Finish(row) if row in self._seats:
                self._ask_engine(row, lambda: self._engine.finish(row))
            case wire.Load():
                threading.Thread(target=self._load, args=(message,), name="load").start()
            case wire.Unload(checkpoint):
                self._engine.unload(checkpoint)
                self._send(wire.Unloaded(checkpoint))
            case wire.Loaded() | wire.LoadFailed():
                self._send(message)

    def _ask_engine(self, row: int, action: Callable[[], None]) -> None:
        """What goes wrong with a row's text is that row's end, and nobody else's."""
        try:
            action()
        except SpeechError as error:
            self._deliver(wire.Failed(row, error.code, str(error)))
        except Exception:
            _LOGGER.exception("A row's text could not be taken in")
            self._deliver(wire.Failed(row, "engine_failed", "The engine could not take this text in."))

    def _load(self, message: wire.Load) -> None:
        try:
            answer: wire.FromEngine = wire.Loaded(
                message.checkpoint, self._engine.load(message.checkpoint, message.path)
            )
        except SpeechError as error:
            answer = wire.LoadFailed(message.checkpoint, error.code, str(error))
        except Exception as error:
            _LOGGER.exception("%s could not be loaded", message.checkpoint.name)
            reason = f"{message.checkpoint.name} could not be loaded ({type(error).__name__})."
            answer = wire.LoadFailed(message.checkpoint, "model_failed", reason)
        self._inbox.put(answer)  # the pipe is written by the main thread alone

    def _deliver(self, output: wire.Output) -> None:
        if output.row not in self._seats:
            return
        if isinstance(output, wire.Audio):
            self._seats[output.row].credit -= len(output.samples) // 4
        else:
            self._engine.cancel(output.row)
            del self._seats[output.row]
        self._send(output)

    def _send(self, message: wire.FromEngine) -> None:
        self._pipe.sendall(wire.pack(message))


if __name__ == "__main__":
    main()

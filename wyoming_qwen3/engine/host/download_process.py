"""The download process: fetches one checkpoint and reports progress to the server. Killing it loses no fetched data."""

import argparse
import contextlib
import logging
import os
import signal
import socket
import threading
from typing import Any

from wyoming_qwen3.core.errors import DownloadFailed
from wyoming_qwen3.engine import wire
from wyoming_qwen3.engine.checkpoint import download, on_disk

_LOGGER = logging.getLogger(__package__)


def main() -> None:
    """Entry point of `python -m wyoming_qwen3.engine.host.download_process`; only the server starts it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pipe", type=int, required=True)
    parser.add_argument("--log-level", default="INFO")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s download: %(message)s")
    _LOGGER.setLevel(arguments.log_level)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the server decides when to stop
    with socket.socket(fileno=arguments.pipe) as pipe:
        message = wire.receive_blocking(pipe)
        threading.Thread(target=_end_with_server, args=(pipe,), daemon=True).start()
        if isinstance(message, wire.RunJob):
            pipe.sendall(wire.pack(_run_job(pipe, message.number, message.job)))


def _run_job(pipe: socket.socket, number: int, job: wire.Job[Any]) -> wire.JobAnswer:
    assert isinstance(job, wire.Download)

    def report(progress: on_disk.Progress) -> None:
        pipe.sendall(wire.pack(wire.JobProgress(number, progress.done, progress.total)))

    try:
        download.download(job.checkpoint, job.models_dir, revision=job.revision, report=report, log=_LOGGER.info)
    except DownloadFailed as error:
        return wire.JobFailed(number, error)
    return wire.JobDone(number, None)


def _end_with_server(pipe: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the pipe is closed when the download is over
        while wire.receive_blocking(pipe) is not None:
            pass
        os._exit(0)


if __name__ == "__main__":
    main()

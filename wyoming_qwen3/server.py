"""The server: opens the stores, starts the services and serves Wyoming and HTTP until it is stopped."""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from urllib.parse import urlparse

from wyoming.event import async_get_stdin, async_get_stdout
from wyoming.server import AsyncServer

from .api.access import Access
from .api.app import host_and_port, make_app, serving
from .api.app_keys import Config
from .api.ingress import Ingress
from .cli.options import Settings
from .core.errors import SpeechError, StorageFailed
from .ops.connection_limit import ConnectionLimiter
from .ops.supervisor import Supervisor
from .services import make_parts, open_dictionary, running
from .speech.shared import Services, Store
from .speech.tts_cache import TtsCache
from .store.clips import Clips
from .store.folder_lock import claimed
from .store.history.store import History, Limits
from .store.voices.store import VoiceStore
from .voices.watched_folder import WatchedFolder
from .wyoming.discovery import Announcement, default_name
from .wyoming.handler import WyomingConnection
from .wyoming.info import PROGRAM

_LOGGER = logging.getLogger(__package__)


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises SpeechError if the data folder or an address can't be used."""
    async with (
        _store(settings) as store,
        running(settings, store, make_parts(settings), preload=True) as speaking,
        _clearing_cache(settings, speaking) as services,
        _http(settings, services),
    ):
        gc.freeze()  # else a full collection would block the event loop for 80 ms
        limiter = ConnectionLimiter("wyoming", services.metrics, services.request_log)
        services.slow_clients.add("wyoming", lambda: limiter.transports)
        await _serve_until_stopped(
            settings, partial(WyomingConnection, services.synthesizer, services.resolver, limiter)
        )


@contextlib.asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[Store]:
    """Open the stores in the data folder and claim it for this server.

    Raises StorageFailed if another server uses it. If the disk can't be written, nothing is stored but speech works.
    """
    folder = settings.data_dir / "store"
    limits = Limits(settings.history_days or None, settings.history_entries or None, settings.history_size)
    voices, clips, history = VoiceStore(folder / "voices"), Clips(folder / "clips"), History(folder / "history", limits)
    with claimed(folder):
        _make_voices_dir(settings)
        opened = [await _opened(one) for one in (voices, clips, history)]
        usable, faults = opened[-1][0], tuple(fault for _, fault in opened if fault)
        watched_folder, dictionary = WatchedFolder(settings.voices_dir, voices), await open_dictionary(settings)
        looking = [asyncio.create_task(watched_folder.run()), asyncio.create_task(dictionary.run())]
        try:
            yield Store(voices, clips, history if usable else None, dictionary, watched_folder, faults)
        finally:
            for task in looking:
                task.cancel()
            await asyncio.gather(*looking, return_exceptions=True)
            await history.close()


def _make_voices_dir(settings: Settings) -> None:
    """Create the voices folder for the user, if it is in the data folder. Others may be on a share not mounted yet."""
    if settings.data_dir in settings.voices_dir.parents:
        with contextlib.suppress(OSError):  # a missing folder is tolerated and looked for regularly
            settings.voices_dir.mkdir(exist_ok=True)


async def _opened(kept: VoiceStore | Clips | History) -> tuple[bool, str | None]:
    """Open a store; return whether it can be used, and a message about it or None."""
    try:
        told = await kept.open()
    except StorageFailed as error:
        what = {VoiceStore: "Kept voices", Clips: "Clips", History: "The history"}[type(kept)]
        _LOGGER.error("%s can't be used: %s", what, error)  # noqa: TRY400  the message is enough
        return False, f"{what} can't be used: {error}"
    return True, told


@contextlib.asynccontextmanager
async def _clearing_cache(settings: Settings, services: Services) -> AsyncIterator[Services]:
    """Add the task that clears Home Assistant's cache to the services."""
    access = settings.supervisor if settings.clear_cache else None
    supervisor = Supervisor(access.url, access.token) if access else None
    cache = TtsCache(settings.data_dir / "store" / "tts-cache", services.synthesizer.backends.qwen3_speaks, supervisor)
    services.synthesizer.on_spoken = cache.spoke
    looking = asyncio.create_task(cache.run(), name="tts cache")
    try:
        yield replace(services, tts_cache=cache)
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


@contextlib.asynccontextmanager
async def _http(settings: Settings, services: Services) -> AsyncIterator[None]:
    """Run the HTTP server, if it is enabled. Raises SpeechError if its address can't be used."""
    ports = [port for port in (settings.http_port, settings.ingress_port) if port is not None]
    if not ports:
        yield
        return
    ingress = Ingress(settings.ingress_port, settings.ingress_address) if settings.ingress_port else None
    config = Config(
        services.resolver,
        standby_only=settings.standby == "only",
        http_standby=settings.http_standby,
        strict=settings.strict,
        max_input=settings.max_input,
        access=Access(settings.api_key, settings.cors_origins, settings.allowed_hosts, settings.key_in_url, ingress),
        options=settings.shown_options,
    )
    async with serving(make_app(services, config), settings.http_host, *ports):
        for port in ports:
            _LOGGER.info("Serving HTTP at http://%s", host_and_port(settings.http_host, port))
        yield


async def _serve_until_stopped(settings: Settings, make_handler: Callable[..., WyomingConnection]) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    if settings.uri.startswith("stdio:"):
        await _serve_stdio(make_handler, stopped)
        return
    server = AsyncServer.from_uri(settings.uri)
    try:
        await server.start(make_handler)
    except OSError as error:
        raise SpeechError(f"Can't serve at {settings.uri}: {error.strerror or error}.") from error
    _LOGGER.info("Serving %s at %s", PROGRAM, settings.uri)
    async with _announced(settings):
        await stopped.wait()
    _LOGGER.info("Stopping")
    await server.stop()


async def _serve_stdio(make_handler: Callable[..., WyomingConnection], stopped: asyncio.Event) -> None:
    handler = make_handler(await async_get_stdin(), await async_get_stdout(), patient=True)
    handling = asyncio.create_task(handler.run())
    stopping = asyncio.create_task(stopped.wait())
    await asyncio.wait([handling, stopping], return_when=asyncio.FIRST_COMPLETED)
    for task in (handling, stopping):
        task.cancel()
    await asyncio.gather(handling, stopping, return_exceptions=True)


@contextlib.asynccontextmanager
async def _announced(settings: Settings) -> AsyncIterator[None]:
    address = urlparse(settings.uri)
    if settings.zeroconf is None or address.scheme != "tcp":
        yield
        return
    port = address.port or 0
    name = settings.zeroconf or default_name(PROGRAM, socket.gethostname(), port)
    announcement = Announcement(name, address.hostname or "", port)
    await announcement.start()
    try:
        yield
    finally:
        await announcement.stop()

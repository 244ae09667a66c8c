"""Composition root: reads the settings, builds the services, runs a command, and stops cleanly."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlparse

from wyoming.event import async_get_stdin, async_get_stdout
from wyoming.server import AsyncServer

from .api.access import Access
from .api.app_keys import Config, Services, Store
from .api.ingress import Ingress
from .cli import remote, say, text_input, voice_list
from .cli.fetch import check_size, fetch
from .cli.options import Settings, parse
from .core.checkpoints import Size, published
from .core.errors import SpeechError, StorageFailed, VoiceNotFound
from .core.speakers import Language, find_language
from .engine.checkpoint import on_disk
from .ops.connection_limit import ConnectionLimiter
from .ops.logs import write_lines
from .ops.supervisor import Supervisor
from .services import make_parts, make_services
from .speech.pronunciation import PronunciationDictionary
from .speech.session import Synthesizer
from .speech.tts_cache import TtsCache
from .speech.verbalizer import Verbalizer
from .store.clips import Clips
from .store.folder_lock import claimed
from .store.history.store import History, Limits
from .store.voices.store import VoiceStore
from .text.language import LanguageGuesser
from .text.pieces import segments_of
from .voices.watched_folder import WatchedFolder
from .wyoming.discovery import Announcement, default_name
from .wyoming.handler import Handler
from .wyoming.info import PROGRAM

_LOGGER = logging.getLogger(__package__)

_HEAD_START = 1.0
"""Most seconds for which the port stays closed, so that the standby voice is ready for the first request.

Qwen3 is downloaded and loaded only after that, because it would slow the standby voice's start.
"""


def main() -> None:
    """Entry point of the `wyoming-qwen3` command. Exits with 1 on a failure, 2 on a bad option."""
    settings = parse(sys.argv[1:], os.environ)
    os.environ.pop("SUPERVISOR_TOKEN", None)  # child processes do not need it
    quiet = settings.command != "serve" and not settings.chosen & {"log_level", "debug"}
    write_lines("CRITICAL" if quiet else settings.log_level)  # a command says itself what a person needs to know
    if settings.local_files_only:
        os.environ["HF_HUB_OFFLINE"] = "1"  # applies to all child processes
    os.environ.update(_hub_variables(settings))
    _find_room_for_caches(settings.data_dir.absolute())
    try:
        sys.exit(_run(settings))
    except SpeechError as error:
        say.tell([f"wyoming-qwen3: {error}"])
        sys.exit(2 if isinstance(error, VoiceNotFound) else 1)
    except KeyboardInterrupt:
        sys.exit(130)


def _hub_variables(settings: Settings) -> dict[str, str]:
    """Return the environment in which downloads run, as the hub's client reads it."""
    given = {"HF_ENDPOINT": settings.hf_endpoint, "HF_TOKEN": settings.hf_token, "HTTPS_PROXY": settings.proxy}
    return {name: value for name, value in given.items() if value}


def _find_room_for_caches(data_dir: Path) -> None:
    """Put compiled GPU kernels into the data folder, and other caches if the home is unknown or can't be written.

    A new container has the data folder of the last one, but not its home. Without a cache folder numba, which reading
    clips needs, fails. A known home is kept: it may have the hub's token.
    """
    os.environ.setdefault("TRITON_CACHE_DIR", str(data_dir / "cache" / "triton"))
    try:
        home = Path.home()
    except RuntimeError:
        home = data_dir
        os.environ["HOME"] = str(home)
    if not os.access(home, os.W_OK):
        os.environ.setdefault("NUMBA_CACHE_DIR", str(data_dir / "cache" / "numba"))


def _run(settings: Settings) -> int:
    match settings.command:
        case "voices":
            asyncio.run(_list_voices(settings))
        case "say":
            _speak(settings)
        case "download":
            asyncio.run(_download(settings))
        case _:
            asyncio.run(_serve(settings))
    return 0


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
        watched_folder, dictionary = WatchedFolder(settings.voices_dir, voices), await _dictionary(settings)
        looking = [asyncio.create_task(watched_folder.run()), asyncio.create_task(dictionary.run())]
        try:
            yield Store(voices, clips, history if usable else None, dictionary, watched_folder, faults)
        finally:
            for task in looking:
                task.cancel()
            await asyncio.gather(*looking, return_exceptions=True)
            await history.close()


async def _dictionary(settings: Settings) -> PronunciationDictionary:
    dictionary = PronunciationDictionary(settings.data_dir / "dictionary.csv", settings.dictionary)
    await dictionary.look()
    return dictionary


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


def _check_models_dir(settings: Settings, *, make: bool) -> None:
    """Raise InvalidRequest if the models folder can't be used. The default one may be missing unless `make` is set."""
    default = settings.models_dir == settings.data_dir / "models"
    if make or not default or settings.models_dir.exists():
        on_disk.check_models_dir(settings.models_dir, make=make)


@contextlib.asynccontextmanager
async def _services(settings: Settings, store: Store, *, preload: bool) -> AsyncIterator[Services]:
    """Start the services, and stop them and their processes at the end. With `preload` all are ready before a request.

    Raises a SpeechError if the models folder can't be used.
    """
    if settings.backend == "native":
        _check_models_dir(settings, make=preload)
    services = make_services(settings, _size(settings), store, make_parts(settings))
    models, standby, servers = services.models, services.standby, services.servers
    warming = [asyncio.create_task(servers.start())] if servers else []
    if preload:
        warming.append(asyncio.create_task(_warm_text(services.synthesizer, settings.language)))
    if preload and settings.standby != "off":
        warming.append(asyncio.create_task(standby.warm()))
    try:
        if warming:
            await asyncio.wait(warming, timeout=_HEAD_START)
        if preload and settings.standby != "only" and models.has_engine:
            models.start(settings.preload)
        looking = asyncio.create_task(services.slow_clients.run(), name="slow clients")
        yield services
        looking.cancel()
    finally:
        for task in warming:  # don't wait for what is still starting
            task.cancel()
        await asyncio.gather(*warming, return_exceptions=True)
        await asyncio.gather(models.close(), standby.close(), *([servers.close()] if servers else []))


def _size(settings: Settings) -> Size | None:
    """Return the size of checkpoints: the user's choice, else 1.7B with vllm, and None for what suits the engine."""
    return settings.model or ("1.7B" if settings.backend == "vllm" else None)


async def _suiting_size(settings: Settings) -> Size:
    """Ask an engine process which size suits its device. Raises EngineFailed if it can't start."""
    engine = make_parts(settings).native
    try:
        return (await engine.start()).selection.size
    finally:
        await engine.stop()


async def _warm_text(synthesizer: Synthesizer, language: Language | None) -> None:
    """Use text processing once, so that the first request does not wait for what is loaded on first use."""
    await synthesizer.verbalizer.language_of("Ready.")
    await synthesizer.verbalizer.prepare(language or find_language("en"))
    await asyncio.to_thread(segments_of, "**Ready**, see [this](https://example.com).")


async def _serve(settings: Settings) -> None:
    async with (
        _store(settings) as store,
        _services(settings, store, preload=True) as speaking,
        _clearing_cache(settings, speaking) as services,
        _http(settings, services),
    ):
        gc.collect()
        gc.freeze()  # otherwise a full collection would block the event loop for 80 ms
        limiter = ConnectionLimiter("wyoming", services.metrics, services.faults)
        services.slow_clients.add("wyoming", lambda: limiter.transports)
        await _serve_until_stopped(settings, partial(Handler, services.synthesizer, services.resolver, limiter))


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
    from .api.app import host_and_port, make_app, serving  # noqa: PLC0415  half of the time that other commands take

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
        options=settings.told,
    )
    async with serving(make_app(services, config), settings.http_host, *ports):
        for port in ports:
            _LOGGER.info("Serving HTTP at http://%s", host_and_port(settings.http_host, port))
        yield


async def _serve_until_stopped(settings: Settings, make_handler: Callable[..., Handler]) -> None:
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


async def _serve_stdio(make_handler: Callable[..., Handler], stopped: asyncio.Event) -> None:
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


def _speak(settings: Settings) -> None:
    """Speak as the options say: only show the text, through a server, or on this machine."""
    text = text_input.known_text(settings.text, settings.file)
    if settings.show_text:
        asyncio.run(_show_text(settings, text))
        return
    if text is not None:
        text_input.check_speakable(text)
    if settings.server:
        remote.say_through(settings, text)
    else:
        asyncio.run(_say(settings, text))


async def _show_text(settings: Settings, text: str | None) -> None:
    verbalizer = Verbalizer(await _dictionary(settings), LanguageGuesser(), settings.normalize)
    await say.show_text(verbalizer, settings.language, text)


async def _say(settings: Settings, text: str | None) -> None:
    store = Store(await _kept_voices(settings), Clips(settings.data_dir), None, await _dictionary(settings))
    settings = replace(settings, download=False)  # it would be cut off when the text ends
    async with _services(settings, store, preload=False) as services:
        request = say.find_request(settings, services.resolver)
        await say.say(services.synthesizer, request, text, settings.output, services.models.size)


async def _kept_voices(settings: Settings) -> VoiceStore:
    """Return the voices in the data folder, which a server may be using."""
    voices = VoiceStore(settings.data_dir / "store" / "voices", read_only=True)
    await voices.open()
    return voices


async def _download(settings: Settings) -> None:
    checkpoint = published(settings.kind, _size(settings) or await _suiting_size(settings))
    check_size(checkpoint, settings.model, yes=settings.yes)
    on_disk.check_models_dir(settings.models_dir)
    await fetch(checkpoint, settings.models_dir, settings.revision)


async def _list_voices(settings: Settings) -> None:
    if settings.server:
        voices, kept = await asyncio.to_thread(remote.voices_at, settings)
        place = settings.server
    else:
        voices, kept = voice_list.speakers(), voice_list.kept((await _kept_voices(settings)).all())
        place = str(settings.data_dir)
    sys.stdout.write(voice_list.show(voices, kept, place))


if __name__ == "__main__":
    main()

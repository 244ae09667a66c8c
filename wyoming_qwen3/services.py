"""Builds the speaking services from the settings: the one place that connects the parts."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

from .cli.options import Settings
from .core.checkpoints import Size
from .core.defaults import Defaults
from .core.speakers import Language, find_language
from .engine.checkpoint import on_disk
from .models.manager import ModelManager
from .models.policy import Policy
from .models.state import State
from .models.worker import Worker, download
from .ops.logs import RequestLog
from .ops.metrics import Metrics, resident_bytes
from .ops.slow_clients import SlowClients
from .speech.admission import Admission
from .speech.backend_selector import BackendSelector
from .speech.options import Options
from .speech.pronunciation import PronunciationDictionary
from .speech.session import Synthesizer
from .speech.shared import Services, Store
from .speech.standby import StandbyVoice
from .speech.verbalizer import Verbalizer
from .text.language import LanguageGuesser
from .text.pieces import segments_of
from .vllm.servers import Servers
from .voices.apply_delivery import apply_delivery
from .voices.clone_prompts import ClonePrompts
from .voices.resolver import Replacements, VoiceResolver

_WARM_UP_SECONDS = 1.0
"""Most seconds for which the port stays closed, so that the standby voice is ready for the first request.

Qwen3 is downloaded and loaded only after that, because it would slow the standby voice's start.
"""


@dataclass(frozen=True)
class Parts:
    """The backends outside this process."""

    native: Worker
    standby: Worker
    """The worker of the standby voice."""

    servers: Servers | None


def make_parts(settings: Settings) -> Parts:
    """Create the backends, not started yet."""
    servers = Servers(settings.vllm.urls, settings.vllm.api_key, settings.model) if settings.vllm else None
    return Parts(Worker("native", settings.engine_arguments), Worker("standby", settings.engine_arguments), servers)


@contextlib.asynccontextmanager
async def running(settings: Settings, store: Store, parts: Parts, *, preload: bool) -> AsyncIterator[Services]:
    """Start the services, and stop them and their processes at the end. With `preload` all are ready before a request.

    Raises a SpeechError if the models folder can't be used.
    """
    if settings.backend == "native":
        _check_models_dir(settings, make=preload)
    services = make_services(settings, size_of(settings), store, parts)
    models, standby, servers = services.models, services.standby, services.servers
    warming = [asyncio.create_task(servers.start())] if servers else []
    if preload:
        warming.append(asyncio.create_task(_warm_text(services.synthesizer, settings.language)))
    if preload and settings.standby != "off":
        warming.append(asyncio.create_task(standby.warm()))
    try:
        if warming:
            await asyncio.wait(warming, timeout=_WARM_UP_SECONDS)
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


def _check_models_dir(settings: Settings, *, make: bool) -> None:
    """Raise InvalidRequest if the models folder can't be used. The default one may be missing unless `make` is set."""
    default = settings.models_dir == settings.data_dir / "models"
    if make or not default or settings.models_dir.exists():
        on_disk.check_models_dir(settings.models_dir, make=make)


def size_of(settings: Settings) -> Size | None:
    """Return the size of checkpoints: the user's choice, else 1.7B with vllm, and None for what suits the engine."""
    return settings.model or ("1.7B" if settings.backend == "vllm" else None)


async def _warm_text(synthesizer: Synthesizer, language: Language | None) -> None:
    """Use text processing once, so that the first request does not wait for what is loaded on first use."""
    await synthesizer.verbalizer.language_of("Ready.")
    await synthesizer.verbalizer.prepare(language or find_language("en"))
    await asyncio.to_thread(segments_of, "**Ready**, see [this](https://example.com).")


async def open_dictionary(settings: Settings) -> PronunciationDictionary:
    """Return the dictionary of the data folder, read for the first time."""
    dictionary = PronunciationDictionary(settings.data_dir / "dictionary.csv", settings.dictionary)
    await dictionary.look()
    return dictionary


def make_services(settings: Settings, size: Size | None, store: Store, parts: Parts) -> Services:
    """Build the services that use these backends. `size` is that of the checkpoints to use by default.

    It is None for the one that suits the engine's device.
    """
    models = ModelManager(_policy(settings, size), parts.native, download)
    standby, metrics = StandbyVoice(parts.standby), Metrics()
    admission = Admission(settings.max_active, settings.max_waiting)
    parts.native.on_death = models.engine_died
    parts.native.on_guard = metrics.guarded
    _watch(metrics, admission, models, parts)
    prompts = ClonePrompts(store.voices, metrics)
    guesser = LanguageGuesser()
    verbalizer = Verbalizer(store.dictionary, guesser, settings.normalize)
    engines = BackendSelector(
        models,
        standby,
        guesser,
        prompts,
        verbalizer,
        servers=parts.servers,
        mode=settings.standby,
        waits=settings.command == "say",
    )
    options = Options(
        settings.text_streaming,
        settings.sentence_pause,
        settings.start,
        settings.max_hold,
        settings.text_timeout,
        settings.history,
    )
    request_log = RequestLog()
    resolver = _resolver(settings, store, request_log)
    synthesizer = Synthesizer(
        engines,
        history=store.history,
        admission=admission,
        metrics=metrics,
        options=options,
        request_log=request_log,
        apply_delivery=partial(apply_delivery, resolver),
        verbalizer=verbalizer,
    )
    return Services(
        synthesizer,
        resolver,
        models,
        standby,
        prompts,
        admission,
        metrics,
        SlowClients(metrics),
        store,
        parts.servers,
        request_log,
    )


def _resolver(settings: Settings, store: Store, request_log: RequestLog) -> VoiceResolver:
    return VoiceResolver(
        Defaults(settings.voice, settings.language, settings.sampling, settings.style, settings.speed),
        store.voices,
        settings.voice_fallback,
        Replacements(request_log),
        dict(item.split("=", 1) for item in settings.alias),
    )


def _policy(settings: Settings, size: Size | None) -> Policy:
    return Policy(
        settings.models_dir,
        size,
        settings.download,
        settings.revision,
        settings.idle_unload,
        settings.memory_budget,
        offline=settings.local_files_only,
        engine=settings.backend == "native",
    )


def _watch(metrics: Metrics, admission: Admission, models: ModelManager, parts: Parts) -> None:
    """Register the gauges that are read whenever the metrics are collected."""
    metrics.watch("queue_active", "Texts being spoken.", lambda: admission.active)
    metrics.watch("queue_waiting", "Texts that wait for a place.", lambda: admission.waiting)
    metrics.watch("tasks", "Tasks of the server's event loop.", lambda: len(asyncio.all_tasks()))
    metrics.watch(
        "models_loaded", "Checkpoints in memory.", lambda: sum(one.state is State.READY for one in models.statuses())
    )
    metrics.watch("model_bytes", "Memory used by checkpoints.", lambda: sum(one.footprint for one in models.statuses()))
    if servers := parts.servers:
        metrics.watch("vllm_servers_up", "vLLM servers that are up.", lambda: sum(s.up for s in servers.statuses()))
    workers = (parts.native, parts.standby)
    resident = {worker.engine: lambda worker=worker: resident_bytes(worker.pid) for worker in workers}
    metrics.watch_each("engine_resident_bytes", "Memory of each engine process.", "engine", resident)

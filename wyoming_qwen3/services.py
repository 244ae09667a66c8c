"""Builds the speaking services from the settings: the one place that connects the parts."""

import asyncio
from dataclasses import dataclass
from functools import partial

from .api.app_keys import Services, Store
from .cli.options import Settings
from .core.checkpoints import Size
from .core.defaults import Defaults
from .models.manager import ModelManager
from .models.policy import Policy
from .models.state import State
from .models.worker import Worker, download
from .ops.logs import Faults
from .ops.metrics import Metrics, resident_bytes
from .ops.slow_clients import SlowClients
from .speech.admission import Admission
from .speech.backend_selector import BackendSelector
from .speech.options import Options
from .speech.session import Synthesizer
from .speech.standby import StandbyVoice
from .speech.verbalizer import Verbalizer
from .text.language import LanguageGuesser
from .vllm.servers import Servers
from .voices.clone_prompts import ClonePrompts
from .voices.direction import directed
from .voices.resolver import Replacements, VoiceResolver


@dataclass(frozen=True)
class Parts:
    """The backends outside this process."""

    native: Worker
    spare: Worker
    """The worker of the standby voice."""

    servers: Servers | None


def make_parts(settings: Settings) -> Parts:
    """Create the backends, not started yet."""
    servers = Servers(settings.vllm.urls, settings.vllm.api_key, settings.model) if settings.vllm else None
    return Parts(Worker("native", settings.engine_arguments), Worker("standby", settings.engine_arguments), servers)


def make_services(settings: Settings, size: Size | None, store: Store, parts: Parts) -> Services:
    """Build the services that use these backends. `size` is that of the checkpoints to use by default.

    It is None for the one that suits the engine's device.
    """
    models = ModelManager(_policy(settings, size), parts.native, download)
    standby, metrics = StandbyVoice(parts.spare), Metrics()
    admission = Admission(settings.max_active, settings.max_waiting)
    parts.native.on_death = models.engine_died
    parts.native.on_guard = metrics.guarded
    _watch(metrics, admission, models, parts)
    prompts = ClonePrompts(store.voices, metrics)
    guesser = LanguageGuesser()
    verbalizer = Verbalizer(store.dictionary, guesser, settings.normalize)
    engines = BackendSelector(
        models, standby, guesser, prompts, verbalizer, servers=parts.servers, mode=settings.standby
    )
    options = Options(
        settings.text_streaming,
        settings.sentence_pause,
        settings.start,
        settings.max_hold,
        settings.text_timeout,
        settings.history,
    )
    faults = Faults()
    resolver = _resolver(settings, store, faults)
    synthesizer = Synthesizer(
        engines,
        history=store.history,
        admission=admission,
        metrics=metrics,
        options=options,
        faults=faults,
        direct=partial(directed, resolver),
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
        faults,
    )


def _resolver(settings: Settings, store: Store, faults: Faults) -> VoiceResolver:
    return VoiceResolver(
        Defaults(settings.voice, settings.language, settings.sampling, settings.style, settings.speed),
        store.voices,
        settings.voice_fallback,
        Replacements(faults),
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
    workers = (parts.native, parts.spare)
    resident = {worker.engine: lambda worker=worker: resident_bytes(worker.pid) for worker in workers}
    metrics.watch_each("engine_resident_bytes", "Memory of each engine process.", "engine", resident)

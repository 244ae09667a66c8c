"""What handlers find in the application: the services and the HTTP server's settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from aiohttp import web

from wyoming_qwen3.models.manager import ModelManager
from wyoming_qwen3.ops.logs import RequestLog
from wyoming_qwen3.ops.metrics import Metrics
from wyoming_qwen3.ops.slow_clients import SlowClients
from wyoming_qwen3.speech.admission import Admission
from wyoming_qwen3.speech.pronunciation import PronunciationDictionary
from wyoming_qwen3.speech.session import Synthesizer
from wyoming_qwen3.speech.standby import StandbyVoice
from wyoming_qwen3.speech.tts_cache import TtsCache
from wyoming_qwen3.store.clips import Clips
from wyoming_qwen3.store.history.store import History
from wyoming_qwen3.store.voices.store import VoiceStore
from wyoming_qwen3.vllm.servers import Servers
from wyoming_qwen3.voices.clone_prompts import ClonePrompts
from wyoming_qwen3.voices.resolver import VoiceResolver
from wyoming_qwen3.voices.watched_folder import WatchedFolder

from .access import Access


@dataclass(frozen=True)
class Store:
    """What is kept on disk."""

    voices: VoiceStore
    clips: Clips
    history: History | None
    """None if it can't be used; the log says why."""

    dictionary: PronunciationDictionary
    watched_folder: WatchedFolder | None = None
    """Makes voices of what a person puts into a folder."""

    faults: tuple[str, ...] = ()
    """Sentences about stored data that could not be used or was started anew."""


@dataclass(frozen=True)
class Services:
    """The services that speak, shared with the Wyoming server."""

    synthesizer: Synthesizer
    resolver: VoiceResolver
    models: ModelManager
    standby: StandbyVoice
    prompts: ClonePrompts
    admission: Admission
    metrics: Metrics
    slow_clients: SlowClients
    store: Store
    servers: Servers | None = None
    """vLLM servers that speak for this one; None if there are none."""

    request_log: RequestLog = field(default_factory=RequestLog)
    """Logs the errors that requests are answered with."""

    tts_cache: TtsCache | None = None
    """Removes the standby voice's speech from Home Assistant's cache; None if that is not done."""


@dataclass(frozen=True)
class Config:
    """Settings of the HTTP server."""

    resolver: VoiceResolver
    standby_only: bool = False
    """Whether the standby voice is the only voice."""

    http_standby: Literal["auto", "off"] = "auto"
    """Whether the standby voice speaks for clients that named no model of ours, while Qwen3 is not ready."""

    strict: bool = False
    """Whether instructions that can't be followed are an error, if the request does not say."""

    max_input: int = 4096
    """Maximum number of characters in one request."""

    access: Access = field(default_factory=Access)
    options: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)
    """The server's options by name; of a secret only whether it is set."""


SERVICES = web.AppKey("services", Services)
CONFIG = web.AppKey("config", Config)

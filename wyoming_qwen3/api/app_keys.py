"""What routes find in their application: the services that speak, and how this server is set up."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import web

from wyoming_qwen3.models.manager import ModelManager
from wyoming_qwen3.ops.logs import Faults
from wyoming_qwen3.ops.metrics import Metrics
from wyoming_qwen3.ops.slow_clients import SlowClients
from wyoming_qwen3.speech.admission import Admission
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
    """None where it can't be used, as the log tells."""

    watched_folder: WatchedFolder | None = None
    """Voices that a person puts into a folder."""

    faults: tuple[str, ...] = ()
    """What could not be used or was begun anew, in sentences."""


@dataclass(frozen=True)
class Services:
    """The speaking middle, shared with the Wyoming server."""

    synthesizer: Synthesizer
    models: ModelManager
    standby: StandbyVoice
    prompts: ClonePrompts
    admission: Admission
    metrics: Metrics
    slow_clients: SlowClients
    store: Store
    servers: Servers | None = None
    """vLLM servers that speak for this one, if there are any."""

    faults: Faults = field(default_factory=Faults)
    """Where what is answered with an error is told."""

    tts_cache: TtsCache | None = None
    """What the standby voice left in Home Assistant's cache, where that is looked after."""


@dataclass(frozen=True)
class Config:
    """How HTTP is served."""

    resolver: VoiceResolver
    standby_only: bool = False
    """Whether there is nothing but the standby voice."""

    max_input: int = 4096
    """Most characters of one request."""

    access: Access = field(default_factory=Access)
    options: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)
    """What the server was started with, by name; secrets are only whether there is one."""


SERVICES = web.AppKey("services", Services)
CONFIG = web.AppKey("config", Config)

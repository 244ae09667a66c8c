"""What all surfaces share: the services that speak, and what is kept on disk."""

from dataclasses import dataclass, field

from wyoming_qwen3.models.manager import ModelManager
from wyoming_qwen3.ops.logs import RequestLog
from wyoming_qwen3.ops.metrics import Metrics
from wyoming_qwen3.ops.slow_clients import SlowClients
from wyoming_qwen3.store.clips import Clips
from wyoming_qwen3.store.history.store import History
from wyoming_qwen3.store.voices.store import VoiceStore
from wyoming_qwen3.vllm.servers import Servers
from wyoming_qwen3.voices.clone_prompts import ClonePrompts
from wyoming_qwen3.voices.resolver import VoiceResolver
from wyoming_qwen3.voices.watched_folder import WatchedFolder

from .admission import Admission
from .pronunciation import PronunciationDictionary
from .session import Synthesizer
from .standby import StandbyVoice
from .tts_cache import TtsCache


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
    """The services that speak."""

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

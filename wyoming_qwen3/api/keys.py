"""What routes find in their application: the services that speak, and how this server is set up."""

from dataclasses import dataclass, field

from aiohttp import web

from wyoming_qwen3.admission import Admission
from wyoming_qwen3.defaults import Defaults
from wyoming_qwen3.metrics import Metrics
from wyoming_qwen3.models.manager import ModelManager
from wyoming_qwen3.speech import Synthesizer
from wyoming_qwen3.standby import StandbyVoice

from .access import Access


@dataclass(frozen=True)
class Services:
    """The speaking middle, shared with the Wyoming server."""

    synthesizer: Synthesizer
    models: ModelManager
    standby: StandbyVoice
    admission: Admission
    metrics: Metrics


@dataclass(frozen=True)
class Config:
    """How HTTP is served."""

    defaults: Defaults
    standby_only: bool = False
    """Whether there is nothing but the standby voice."""

    max_input: int = 4096
    """Most characters of one request."""

    voice_fallback: bool = False
    """Whether an unknown voice is replaced by the default one."""

    access: Access = field(default_factory=Access)


SERVICES = web.AppKey("services", Services)
CONFIG = web.AppKey("config", Config)

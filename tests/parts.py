"""The speaking middle in this process, over a models folder that need not hold anything."""

import asyncio
from pathlib import Path

from wyoming_qwen3.admission import Admission
from wyoming_qwen3.api.keys import Services, Store
from wyoming_qwen3.casting import Cast
from wyoming_qwen3.cloning import ClonePrompts
from wyoming_qwen3.defaults import Defaults
from wyoming_qwen3.engines import Engines
from wyoming_qwen3.metrics import Metrics
from wyoming_qwen3.models.manager import ModelManager, Policy
from wyoming_qwen3.patience import Patience
from wyoming_qwen3.remote.servers import Servers
from wyoming_qwen3.request import StandbyMode
from wyoming_qwen3.speech import Options, Synthesizer
from wyoming_qwen3.standby import StandbyVoice
from wyoming_qwen3.store.clips import Clips
from wyoming_qwen3.store.voices import VoiceStore
from wyoming_qwen3.text.language import LanguageGuesser
from wyoming_qwen3.voices import find_voice
from wyoming_qwen3.worker import Worker, download


def make_services(
    folder: Path,
    *,
    standby: StandbyMode = "auto",
    models: ModelManager | None = None,
    servers: Servers | None = None,
    patience: float = 60.0,
    options: Options | None = None,
) -> Services:
    """Everything, with engines that start when they are used, and nothing kept."""
    models = models or ModelManager(Policy(folder, "0.6B", download=False), Worker("native"), download)
    spare, admission, metrics, voices = (
        StandbyVoice(Worker("standby")),
        Admission(8, 64),
        Metrics(),
        VoiceStore(folder),
    )
    prompts = ClonePrompts(voices, metrics)
    engines = Engines(models, spare, LanguageGuesser(), prompts, servers=servers, mode=standby)
    synthesizer = Synthesizer(engines, history=None, admission=admission, metrics=metrics, options=options or Options())
    store = Store(voices, Clips(folder), None)
    return Services(
        synthesizer, models, spare, prompts, admission, metrics, Patience(metrics, patience), store, servers
    )


async def stop(services: Services) -> None:
    """End its processes."""
    await asyncio.gather(services.models.close(), services.standby.close())


def make_cast(defaults: Defaults | None = None) -> Cast:
    """The built-in voices, of which Ryan is the default."""
    return Cast(defaults or Defaults(find_voice("ryan")[0]), VoiceStore(Path("nowhere")))

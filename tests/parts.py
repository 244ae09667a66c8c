"""The speaking middle in this process, over a models folder that need not hold anything."""

import asyncio
from pathlib import Path

from wyoming_qwen3.admission import Admission
from wyoming_qwen3.api.keys import Services, Store
from wyoming_qwen3.casting import Cast
from wyoming_qwen3.cloning import ClonePrompts
from wyoming_qwen3.defaults import Defaults
from wyoming_qwen3.metrics import Metrics
from wyoming_qwen3.models.manager import ModelManager, Policy
from wyoming_qwen3.speech import Options, Synthesizer
from wyoming_qwen3.standby import StandbyVoice
from wyoming_qwen3.store.clips import Clips
from wyoming_qwen3.store.voices import VoiceStore
from wyoming_qwen3.text.language import LanguageGuesser
from wyoming_qwen3.voices import find_voice
from wyoming_qwen3.worker import Worker, download


def make_services(folder: Path, options: Options) -> Services:
    """Everything, with engines that start when they are used, and nothing kept."""
    models = ModelManager(Policy(folder, "0.6B", download=False), Worker("native"), download)
    standby, admission, metrics, voices = (
        StandbyVoice(Worker("standby")),
        Admission(8, 64),
        Metrics(),
        VoiceStore(folder),
    )
    prompts = ClonePrompts(voices, metrics)
    synthesizer = Synthesizer(
        models,
        standby,
        LanguageGuesser(),
        prompts=prompts,
        history=None,
        admission=admission,
        metrics=metrics,
        options=options,
    )
    return Services(synthesizer, models, standby, prompts, admission, metrics, Store(voices, Clips(folder), None))


async def stop(services: Services) -> None:
    """End its processes."""
    await asyncio.gather(services.models.close(), services.standby.close())


def make_cast(defaults: Defaults | None = None) -> Cast:
    """The built-in voices, of which Ryan is the default."""
    return Cast(defaults or Defaults(find_voice("ryan")[0]), VoiceStore(Path("nowhere")))

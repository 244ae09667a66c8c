"""The HTTP application in this process, over real services whose engines are never started."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from wyoming_qwen3.admission import Admission
from wyoming_qwen3.api.app import make_app
from wyoming_qwen3.api.keys import Config, Services
from wyoming_qwen3.defaults import Defaults
from wyoming_qwen3.metrics import Metrics
from wyoming_qwen3.models.manager import ModelManager, Policy
from wyoming_qwen3.speech import Options, Synthesizer
from wyoming_qwen3.standby import StandbyVoice
from wyoming_qwen3.text.language import LanguageGuesser
from wyoming_qwen3.voices import find_voice
from wyoming_qwen3.worker import Worker, download

Client = TestClient[web.Request, web.Application]


def quiet_app(models_dir: Path) -> web.Application:
    """The whole application; whoever would speak with it is told that there is no model."""
    models = ModelManager(Policy(models_dir, "0.6B", download=False), Worker("native"), download)
    standby, admission, metrics = StandbyVoice(Worker("standby")), Admission(8, 64), Metrics()
    synthesizer = Synthesizer(
        models, standby, LanguageGuesser(), admission=admission, metrics=metrics, options=Options(standby="off")
    )
    services = Services(synthesizer, models, standby, admission, metrics)
    return make_app(services, Config(Defaults(find_voice("ryan")[0])))


@contextlib.asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[Client]:
    """A client of that application."""
    async with TestClient(TestServer(app)) as client:
        yield client

"""A server in this process whose engines never start, and the voices that it keeps."""

import contextlib
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from tests.api.quiet import Client, serving
from tests.parts import make_services
from wyoming_qwen3.api.access import Access
from wyoming_qwen3.api.app import make_app
from wyoming_qwen3.api.app_keys import Config
from wyoming_qwen3.core.defaults import Defaults
from wyoming_qwen3.core.request import Reference
from wyoming_qwen3.core.speakers import find_voice
from wyoming_qwen3.store.voices.store import VoiceStore
from wyoming_qwen3.store.voices.voice import Manner
from wyoming_qwen3.voices.resolver import VoiceResolver


class House:
    """A server whose engines never start, and what it keeps."""

    def __init__(self, folder: Path, api_key: str | None = None) -> None:
        self.services = make_services(folder, "--standby", "off")
        self.voices: VoiceStore = self.services.store.voices
        cast = VoiceResolver(Defaults(find_voice("ryan")[0]), self.voices)
        self.config = Config(cast, access=Access(api_key))

    async def keep(self, name: str, *, clips: int = 0, **manner: Any) -> str:
        clip = Reference(np.full(24_000, 0.1, np.float32), 24_000, "Hello.")
        return (await self.voices.create(name, "profile", Manner(**manner), [clip] * clips)).id

    def serving(self) -> contextlib.AbstractAsyncContextManager[Client]:
        return serving(make_app(self.services, self.config))


async def ask(client: Client | aiohttp.ClientSession, method: str, path: str, **options: Any) -> tuple[int, Any]:
    async with client.request(method, path, **options) as response:
        return response.status, await response.json()

"""openai-agents: its voice pipeline at its defaults, with a transcriber of our own, since this server has none."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from agents.voice import (
    AudioInput,
    OpenAIVoiceModelProvider,
    STTModel,
    VoicePipeline,
    VoicePipelineConfig,
    VoiceWorkflowBase,
)
from agents.voice.imports import np

TEXT = "The front door is open, and the lights are on."


class Transcriber(STTModel):
    model_name = "none"

    async def transcribe(self, *_: object, **__: object) -> str:
        return "What is open?"

    async def create_session(self, *_: object, **__: object) -> None:
        raise NotImplementedError


class Workflow(VoiceWorkflowBase):
    async def run(self, _: str) -> AsyncIterator[str]:
        for word in TEXT.split(" "):
            yield f"{word} "


async def main() -> None:
    config = VoicePipelineConfig(model_provider=OpenAIVoiceModelProvider(base_url=sys.argv[1]))
    pipeline = VoicePipeline(workflow=Workflow(), stt_model=Transcriber(), config=config)
    result = await pipeline.run(AudioInput(buffer=np.zeros(24_000, dtype=np.int16)))
    audio, events = b"", []
    async for event in result.stream():
        if event.type == "voice_stream_event_audio":
            audio += event.data.astype("<i2").tobytes()
        else:
            events.append(getattr(event, "event", event.type))
    Path("said.pcm").write_bytes(audio)
    print(json.dumps({"events": events}))


asyncio.run(main())

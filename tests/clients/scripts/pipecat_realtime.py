"""pipecat: a turn of its Realtime service, with a system prompt."""

import asyncio
import json
import sys
from pathlib import Path

from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    Frame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    TTSAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.workers.runner import WorkerRunner

TEXT = "The front door is open, and the lights are on."


class Sink(FrameProcessor):
    def __init__(self) -> None:
        super().__init__()
        self.audio = b""
        self.answered = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame):
            self.audio += frame.audio
        await self.push_frame(frame, direction)
        if isinstance(frame, LLMFullResponseEndFrame):
            self.answered.set()


async def main() -> None:
    url = f"{sys.argv[1].replace('http', 'ws', 1)}/realtime"
    settings = OpenAIRealtimeLLMService.Settings(system_instruction=sys.argv[2])
    service = OpenAIRealtimeLLMService(api_key="none", base_url=url, settings=settings)
    sink, errors = Sink(), []
    worker = PipelineWorker(Pipeline([service, sink]))

    @worker.event_handler("on_pipeline_error")
    async def failed(_: PipelineWorker, frame: ErrorFrame) -> None:
        errors.append(frame.error)
        sink.answered.set()

    async def end() -> None:
        await sink.answered.wait()
        await worker.queue_frame(EndFrame())

    await worker.queue_frame(LLMContextFrame(LLMContext([{"role": "user", "content": TEXT}])))
    runner = WorkerRunner()
    await runner.add_workers(worker)
    await asyncio.gather(runner.run(), end())
    Path("said.pcm").write_bytes(sink.audio)
    print(json.dumps({"errors": errors}))


asyncio.run(main())

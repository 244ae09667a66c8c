"""pipecat: a sentence through its text-to-speech service for OpenAI, with instructions if they are given."""

import asyncio
import json
import sys
from pathlib import Path

from pipecat.frames.frames import EndFrame, ErrorFrame, Frame, TTSAudioRawFrame, TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.tts import OpenAITTSService
from pipecat.workers.runner import WorkerRunner

TEXT = "The front door is open, and the lights are on."


class Sink(FrameProcessor):
    audio = b""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame):
            self.audio += frame.audio
        await self.push_frame(frame, direction)


async def main() -> None:
    settings = OpenAITTSService.Settings(instructions=sys.argv[2]) if sys.argv[2:] else None
    service = OpenAITTSService(base_url=sys.argv[1], settings=settings)
    sink, errors = Sink(), []
    worker = PipelineWorker(Pipeline([service, sink]))

    @worker.event_handler("on_pipeline_error")
    async def failed(_: PipelineWorker, frame: ErrorFrame) -> None:
        errors.append(frame.error)

    await worker.queue_frames([TTSSpeakFrame(TEXT), EndFrame()])
    runner = WorkerRunner()
    await runner.add_workers(worker)
    await runner.run()
    Path("said.pcm").write_bytes(sink.audio)
    print(json.dumps({"errors": errors}))


asyncio.run(main())

"""livekit-plugins-openai: a sentence through its TTS, with instructions if they are given."""

import asyncio
import json
import sys
from pathlib import Path

from livekit.plugins import openai

TEXT = "The front door is open, and the lights are on."


async def main() -> None:
    options = {"instructions": sys.argv[2]} if sys.argv[2:] else {}
    tts = openai.TTS(base_url=sys.argv[1], **options)
    frames = [event.frame async for event in tts.synthesize(TEXT)]
    await tts.aclose()
    Path("said.pcm").write_bytes(b"".join(bytes(frame.data) for frame in frames))
    print(json.dumps({"rate": frames[0].sample_rate}))


asyncio.run(main())

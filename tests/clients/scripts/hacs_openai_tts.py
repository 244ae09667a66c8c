"""HACS's openai_tts 3.7: the requests of its set-up and of its speech, as config_flow.py and openaitts_engine.py send.

It runs only within Home Assistant, so these are copies of its requests.
"""

import asyncio
import json
import sys
from pathlib import Path

import aiohttp

URL = f"{sys.argv[1]}/audio/speech"
TEXT = "The front door is open, and the lights are on."
CHECK = {"model": "tts-1", "input": ".", "voice": "alloy", "response_format": "mp3"}
SPEECH = {"model": "tts-1", "input": TEXT, "voice": "shimmer", "response_format": "mp3", "speed": 1.0}
STYLED = SPEECH | {"model": "gpt-4o-mini-tts", "instructions": "Speak in a cheerful and positive tone."}
HEADERS = {"Content-Type": "application/json", "User-Agent": "HomeAssistant-OpenAI-TTS", "Authorization": "Bearer none"}


async def main() -> None:
    async with aiohttp.ClientSession() as session:
        async with session.post(URL, json=CHECK, headers=HEADERS, timeout=aiohttp.ClientTimeout(total=10)) as checked:
            status = checked.status
        for name, payload in (("plain", SPEECH), ("styled", STYLED)):
            async with session.post(URL, json=payload, headers=HEADERS) as response:
                response.raise_for_status()
                chunks = [chunk async for chunk in response.content.iter_chunked(8192)]
            Path(f"{name}.mp3").write_bytes(b"".join(chunks))
    print(json.dumps({"check": status}))


asyncio.run(main())

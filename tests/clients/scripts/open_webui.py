"""Open WebUI 0.12.4: the requests of its two engines for OpenAI, as routers/audio/__init__.py sends them.

The whole program is too large to install here. The prompt is as long as the one that it has built in, and begins alike.
"""

import asyncio
import base64
import json
import sys
import wave
from pathlib import Path

import aiohttp

BASE = sys.argv[1]
TEXT = "The front door is open, and the lights are on."
HEADERS = {"Content-Type": "application/json", "Authorization": "Bearer none"}
PROMPT = "You are a text-to-speech renderer. " + "Read the text as it is, and add nothing to it. " * 12
OUTPUT = {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "alloy"}
SESSION = {
    "type": "realtime",
    "output_modalities": ["audio"],
    "audio": {"input": {"turn_detection": None, "transcription": None}, "output": OUTPUT},
    "tools": [],
    "tool_choice": "none",
    "instructions": PROMPT,
}
RESPONSE = {
    "conversation": "none",
    "output_modalities": ["audio"],
    "tools": [],
    "tool_choice": "none",
    "instructions": PROMPT,
    "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": TEXT}]}],
}


async def by_speech(session: aiohttp.ClientSession) -> dict[str, int]:
    """The engine `openai`."""
    async with session.get(f"{BASE}/audio/models") as answer:
        models = (await answer.json())["models"]
    async with session.get(f"{BASE}/audio/voices") as answer:
        voices = {voice["id"]: voice["name"] for voice in (await answer.json())["voices"]}
    payload = {"input": TEXT, "voice": "alloy", "model": "tts-1"}
    async with session.post(f"{BASE}/audio/speech", json=payload, headers=HEADERS) as answer:
        answer.raise_for_status()
        Path("speech.mp3").write_bytes(await answer.read())
    return {"models": len(models), "voices": len(voices)}


async def by_realtime(session: aiohttp.ClientSession) -> None:
    """The engine `openai-realtime`."""
    pcm, response_id = bytearray(), None
    url = f"{BASE.replace('http', 'ws', 1)}/realtime?model=gpt-realtime-2.1-mini"
    async with session.ws_connect(url, headers={"Authorization": "Bearer none"}) as ws:
        async for message in ws:
            event = message.json()
            match event["type"]:
                case "error":
                    raise SystemExit(f"502: {event}")
                case "session.created":
                    await ws.send_json({"type": "session.update", "session": SESSION})
                case "session.updated":
                    await ws.send_json({"type": "response.create", "response": RESPONSE})
                case "response.created":
                    response_id = event["response"]["id"]
                case "response.output_audio.delta" if event.get("response_id") == response_id:
                    pcm.extend(base64.b64decode(event["delta"], validate=True))
                case "response.done" if event["response"]["id"] == response_id:
                    if event["response"]["status"] != "completed" or not pcm or len(pcm) % 2:
                        raise SystemExit(f"502: {event}")
                    break
    with wave.open("realtime.wav", "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24000)
        file.writeframes(pcm)


async def main() -> None:
    async with aiohttp.ClientSession() as session:
        lists = await by_speech(session)
        await by_realtime(session)
    print(json.dumps(lists))


asyncio.run(main())

"""wyoming-openai: a Wyoming server that speaks with this server's HTTP API, asked as Home Assistant asks."""

import asyncio
import json
import socket
import sys
from pathlib import Path

from wyoming.audio import AudioChunk
from wyoming.client import AsyncClient
from wyoming.info import Describe, Info
from wyoming.tts import Synthesize, SynthesizeVoice

TEXT = "The front door is open, and the lights are on."


async def info_of(uri: str, process: asyncio.subprocess.Process) -> Info:
    while process.returncode is None:
        try:
            async with AsyncClient.from_uri(uri) as client:
                await client.write_event(Describe().event())
                if event := await client.read_event():
                    return Info.from_event(event)
        except OSError:
            await asyncio.sleep(0.2)
    raise SystemExit("wyoming-openai ended.")


async def speak(uri: str, voice: str) -> tuple[bytes, list[str], int]:
    audio, types, rate = b"", [], 0
    async with AsyncClient.from_uri(uri) as client:
        await client.write_event(Synthesize(TEXT, voice=SynthesizeVoice(name=voice)).event())
        while event := await client.read_event():
            if types[-1:] != [event.type]:
                types.append(event.type)
            if AudioChunk.is_type(event.type):
                chunk = AudioChunk.from_event(event)
                audio, rate = audio + chunk.audio, chunk.rate
            if event.type in ("audio-stop", "error"):
                break
    return audio, types, rate


async def main() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        uri = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, "-m", "wyoming_openai", "--uri", uri, "--tts-openai-url", sys.argv[1], *sys.argv[2:]]
    process = await asyncio.create_subprocess_exec(*command, stdout=sys.stderr)
    try:
        voices = [voice.name for program in (await info_of(uri, process)).tts for voice in program.voices]
        audio, types, rate = await speak(uri, voices[0])
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    Path("said.pcm").write_bytes(audio)
    print(json.dumps({"voices": voices, "types": types, "rate": rate}))


asyncio.run(main())

"""openai-python: speech in all formats, streamed, as events, and with instructions."""

import base64
import json
import sys
from pathlib import Path

from openai import OpenAI

TEXT = "The front door is open, and the lights are on."
STYLE = "Speak in a cheerful and positive tone."
client = OpenAI(base_url=sys.argv[1])

for audio_format in ("mp3", "opus", "aac", "flac", "wav", "pcm"):
    answer = client.audio.speech.create(
        model="gpt-4o-mini-tts", voice="alloy", input=TEXT, response_format=audio_format
    )
    answer.write_to_file(f"whole.{audio_format}")

with client.audio.speech.with_streaming_response.create(
    model="gpt-4o-mini-tts", voice="coral", input=TEXT, instructions=STYLE
) as streamed:
    streamed.stream_to_file("streamed.mp3")

events = []
with (
    client.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts", voice="coral", input=TEXT, instructions=STYLE, stream_format="sse"
    ) as lines,
    Path("events.mp3").open("wb") as file,
):
    for line in lines.iter_lines():
        if line.startswith("data: "):
            events.append(event := json.loads(line.removeprefix("data: ")))
            file.write(base64.b64decode(event.get("audio", "")))

print(json.dumps({"warning": streamed.headers.get("X-Warning", ""), "last": events[-1]}))

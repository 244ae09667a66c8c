"""openai-python: the Realtime API's example, with a voice assistant's instructions."""

import base64
import json
import sys
from pathlib import Path

from openai import OpenAI

TEXT = "The front door is open, and the lights are on."
types: list[str] = []
warnings: list[str] = []
errors: list[str] = []
client = OpenAI(base_url=sys.argv[1])
with client.realtime.connect(model="gpt-realtime") as connection, Path("said.pcm").open("wb") as file:
    connection.session.update(
        session={"type": "realtime", "instructions": sys.argv[2], "audio": {"output": {"voice": "marin"}}}
    )
    connection.conversation.item.create(
        item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": TEXT}]}
    )
    connection.response.create()
    for event in connection:
        if types[-1:] != [event.type]:
            types.append(event.type)
        if event.type == "response.output_audio.delta":
            file.write(base64.b64decode(event.delta))
        elif event.type == "error":
            errors.append(event.error.message)
        elif event.type == "response.done":
            warnings += event.to_dict()["response"].get("warnings", [])
            break

print(json.dumps({"types": types, "errors": errors, "warnings": warnings, "status": event.response.status}))

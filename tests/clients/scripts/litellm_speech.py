"""litellm: speech() of its library, with and without instructions."""

import json
import sys

import litellm

TEXT = "The front door is open, and the lights are on."
for name, more in (("plain", {}), ("styled", {"instructions": "Speak in a cheerful and positive tone."})):
    answer = litellm.speech(
        model="openai/tts-1", voice="alloy", input=TEXT, api_base=sys.argv[1], api_key="none", **more
    )
    answer.stream_to_file(f"{name}.mp3")
print(json.dumps({}))

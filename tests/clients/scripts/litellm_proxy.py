"""litellm: its proxy, asked for speech, then for a voice that does not exist, then for speech again."""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path

from openai import APIConnectionError, APIStatusError, OpenAI

TEXT = "The front door is open, and the lights are on."
CONFIG = """
model_list:
  - model_name: speech
    litellm_params:
      model: openai/tts-1
      api_base: {url}
      api_key: none
"""


def ask(client: OpenAI, voice: str) -> tuple[int, bytes | str]:
    try:
        answer = client.audio.speech.with_raw_response.create(model="speech", voice=voice, input=TEXT)
    except APIStatusError as error:
        return error.status_code, error.message
    return 200, answer.content


def main() -> None:
    Path("config.yaml").write_text(CONFIG.format(url=sys.argv[1]))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = str(Path(sys.executable).parent / "litellm")
    command = [program, "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
    key = f"sk-{secrets.token_hex(16)}"
    client = OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=key, max_retries=0)
    with subprocess.Popen(command, stdout=sys.stderr, env=os.environ | {"LITELLM_MASTER_KEY": key}) as proxy:
        try:
            while proxy.poll() is None:
                try:
                    client.models.list()
                    break
                except APIConnectionError:
                    time.sleep(0.5)
            said = []
            for number, voice in enumerate(("alloy", "nobody", "alloy", "nobody", "nobody", "alloy")):
                status, answer = ask(client, voice)
                if isinstance(answer, bytes):
                    Path(f"{number}.mp3").write_bytes(answer)
                said.append({"voice": voice, "status": status, "error": answer if isinstance(answer, str) else None})
        finally:
            proxy.terminate()
    print(json.dumps({"said": said}))


main()

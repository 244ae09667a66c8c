"""livekit-plugins-openai: a turn of its RealtimeModel, with an agent's instructions."""

import asyncio
import json
import sys
from pathlib import Path

from livekit.agents import llm, utils
from livekit.plugins import openai

TEXT = "The front door is open, and the lights are on."


async def main() -> None:
    async with utils.http_context.open():
        model = openai.realtime.RealtimeModel(base_url=sys.argv[1])
        session, errors = model.session(), []
        session.on("error", lambda event: errors.append(str(event.error)))
        await session.update_instructions(sys.argv[2])
        chat = llm.ChatContext.empty()
        chat.add_message(role="user", content=TEXT)
        await session.update_chat_ctx(chat)
        generation = await session.generate_reply()
        audio = b""
        async for message in generation.message_stream:
            async for frame in message.audio_stream:
                audio += bytes(frame.data)
        Path("said.pcm").write_bytes(audio)
        await session.aclose()
        await model.aclose()
    print(json.dumps({"errors": errors}))


asyncio.run(main())

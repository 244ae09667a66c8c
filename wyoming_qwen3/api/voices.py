"""/v1/audio/voices: who speaks. The list has the shape that Open WebUI and Kokoro's clients read."""

from typing import Literal

from aiohttp import web
from pydantic import BaseModel

from wyoming_qwen3.errors import NotSupported
from wyoming_qwen3.voices import LANGUAGES, SPEAKERS, Speaker, find_language

from .operation import Resource
from .parse import Query, parse_query

resource = Resource("Voices")


class VoiceEntry(BaseModel):
    """One voice. `language` is the one it is at home in; it speaks all of `languages`."""

    id: str
    name: str
    language: str
    languages: list[str]
    gender: Literal["female", "male"]
    description: str
    type: Literal["builtin", "preset", "profile"]


class VoiceList(BaseModel):
    """All voices."""

    object: Literal["list"] = "list"
    voices: list[VoiceEntry] | list[str]


class VoiceQuery(Query):
    """`legacy` answers names alone; `language` keeps the voices that are at home in it."""

    legacy: bool = False
    language: str | None = None


@resource.operation(
    "GET",
    "/v1/audio/voices",
    "List the voices",
    query=VoiceQuery,
    answers={200: {"application/json": VoiceList}},
)
async def list_voices(request: web.Request) -> web.StreamResponse:
    """Open without an API key, because Open WebUI asks without one. `?legacy=true` lists names alone."""
    query = parse_query(request, VoiceQuery)
    wanted = find_language(query.language) if query.language else None
    speakers = [speaker for speaker in SPEAKERS if wanted in (None, speaker.native)]
    if query.legacy:
        return web.json_response({"voices": [speaker.name for speaker in speakers]})
    return web.json_response(text=VoiceList(voices=[_entry(speaker) for speaker in speakers]).model_dump_json())


@resource.operation("POST", "/v1/audio/voices", "Make a voice (not supported)", answers={}, errors=(501,))
async def create_voice(_: web.Request) -> web.StreamResponse:
    """Answers 501: the server keeps no voices."""
    raise NotSupported(
        "This server keeps no voices yet; send instructions for a described voice, or ref_audio and ref_text for a "
        "cloned one, with each request to /v1/audio/speech."
    )


@resource.operation(
    "DELETE",
    "/v1/audio/voices/{id}",
    "Delete a voice (not supported)",
    answers={},
    errors=(501,),
)
async def delete_voice(_: web.Request) -> web.StreamResponse:
    """Answers 501: the server keeps no voices."""
    raise NotSupported("This server keeps no voices yet, and the built-in ones can't be deleted.")


def _entry(speaker: Speaker) -> VoiceEntry:
    return VoiceEntry(
        id=speaker.name,
        name=speaker.name.replace("_", " "),
        language=speaker.native.name.title(),
        languages=[language.name.title() for language in LANGUAGES],
        gender=speaker.gender,
        description=speaker.description,
        type="builtin",
    )

"""/api/voices/default and /api/voices/aliases: the voice for requests without one, and further names of voices."""

from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, Field, StringConstraints

from wyoming_qwen3.api.app_keys import CONFIG, SERVICES
from wyoming_qwen3.api.operation import Resource
from wyoming_qwen3.api.validation import Fields, ignored_headers, parse_body
from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.core.speakers import SPEAKERS, voice_key

resource = Resource("Voices")

_JSON_BYTES = 256 * 1024

_Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"\S")]


class DefaultBody(Fields):
    """The new default voice, by id or name; null for the configured one."""

    voice: str | None = Field(max_length=200)


class DefaultVoice(BaseModel):
    """`voice` speaks if a request names none; it is the `configured` one unless it was changed."""

    voice: str
    configured: str


class AliasesBody(Fields):
    """Further names for voices."""

    aliases: Annotated[dict[_Name, _Name], Field(max_length=100)] = Field(
        description="The voice of each name; a name may be one of OpenAI's or a speaker's."
    )


class Aliases(BaseModel):
    """Further names for voices, each with the name of its voice."""

    aliases: dict[str, str]
    configured: dict[str, str]
    """Those that were set when the server was started."""


@resource.operation(
    "GET", "/api/voices/default", "The default voice", answers={200: {"application/json": DefaultVoice}}
)
async def get_default_voice(request: web.Request) -> web.StreamResponse:
    """The voice that speaks if a request names none, over HTTP and Wyoming."""
    return web.json_response(text=_default(request).model_dump_json())


@resource.operation(
    "PUT",
    "/api/voices/default",
    "Choose the default voice",
    body=DefaultBody,
    answers={200: {"application/json": DefaultVoice}},
    errors=(404, 507),
)
async def set_default_voice(request: web.Request) -> web.StreamResponse:
    """The choice is kept over restarts. null returns to the configured voice."""
    body = await parse_body(request, DefaultBody, _JSON_BYTES)
    voices = request.app[SERVICES].store.voices
    kept = voices.find(body.voice) if body.voice is not None else None
    if kept and not kept.speaks:
        raise InvalidRequest(
            f"The voice {kept.name} has no clip yet; add one before you make it the default.", param="voice"
        )
    await voices.set_default(kept.id if kept else body.voice)
    return web.json_response(text=_default(request).model_dump_json(), headers=ignored_headers(body))


@resource.operation("GET", "/api/voices/aliases", "List the aliases", answers={200: {"application/json": Aliases}})
async def get_aliases(request: web.Request) -> web.StreamResponse:
    """Further names by which voices can be requested on every surface."""
    return web.json_response(text=_aliases(request).model_dump_json())


@resource.operation(
    "PUT",
    "/api/voices/aliases",
    "Set the aliases",
    body=AliasesBody,
    answers={200: {"application/json": Aliases}},
    errors=(507,),
)
async def set_aliases(request: web.Request) -> web.StreamResponse:
    """Replaces all aliases except the configured ones, over which these have precedence.

    An alias may be the name of a built-in speaker or of one of OpenAI's voices, but not of a voice that is kept.
    """
    body = await parse_body(request, AliasesBody, _JSON_BYTES)
    resolver = request.app[CONFIG].resolver
    kept = set(resolver.voices.aliases.items())
    aliases = {voice_key(alias) for alias in (*body.aliases, *resolver.aliases)}
    for alias, voice in body.aliases.items():
        if (alias, voice) in kept:  # its voice may be gone, which is no reason to refuse other changes
            continue
        if resolver.voices.find(alias):
            raise InvalidRequest(f"{alias} is a voice itself; choose another alias for {voice}.", param="aliases")
        if voice_key(voice) in aliases:
            raise InvalidRequest(f"{voice} is an alias itself; give {alias} the name of a voice.", param="aliases")
        resolver.choose(voice, None)
    await resolver.voices.set_aliases({alias.strip(): voice for alias, voice in body.aliases.items()})
    return web.json_response(text=_aliases(request).model_dump_json(), headers=ignored_headers(body))


def _aliases(request: web.Request) -> Aliases:
    resolver = request.app[CONFIG].resolver
    return Aliases(aliases=dict(resolver.voices.aliases), configured=dict(resolver.aliases))


def _default(request: web.Request) -> DefaultVoice:
    resolver = request.app[CONFIG].resolver
    configured, chosen = resolver.defaults.speaker.name, resolver.voices.default
    names = {speaker.id: speaker.name for speaker in SPEAKERS} | {kept.id: kept.name for kept in resolver.voices.all()}
    return DefaultVoice(voice=names.get(chosen or "", configured), configured=configured)

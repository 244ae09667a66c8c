"""POST /v1/audio/speech: OpenAI's API, with further fields for what Qwen3-TTS can do.

https://platform.openai.com/docs/api-reference/audio/createSpeech
"""

from collections.abc import Mapping
from typing import Literal

from aiohttp import web
from pydantic import Field

from wyoming_qwen3.audio.encode import MEDIA_TYPES
from wyoming_qwen3.speech.report import Report
from wyoming_qwen3.speech.session import SpeechSession

from .access import foreign_origin, origin_allowed
from .app_keys import CONFIG, SERVICES
from .operation import Resource
from .speech_request import SpeechFields, check_text, spoken_warnings, understand, voice_headers
from .speech_response import EVENT_STREAM, stream_audio, stream_events, whole_audio, with_warnings
from .validation import Query, ignored_headers, parse_body, parse_json, parse_query

resource = Resource("Speech")

MAX_BYTES = 25 * 1024 * 1024
"""Maximum size in bytes of a JSON body that may hold clips."""


class SpeechBody(SpeechFields):
    """A text and how it is spoken."""

    input: str = Field(description="The text to speak.")
    stream: bool | None = Field(None, description="false sends the audio only when it is complete, with its length.")
    stream_format: Literal["audio", "sse"] | None = None


class SpeechQuery(Query):
    """`stream` as in the body, for programs that send it in the query."""

    stream: bool | None = None


@resource.operation(
    "POST",
    "/v1/audio/speech",
    "Speak a text",
    body=SpeechBody,
    query=SpeechQuery,
    answers={200: dict.fromkeys([*MEDIA_TYPES.values(), EVENT_STREAM])},
    errors=(404, 429, 500, 501, 503),
)
async def speak(request: web.Request) -> web.StreamResponse:
    """Sends audio while it is generated; `stream: false` waits until all of it is there."""
    query = parse_query(request, SpeechQuery)
    body = await parse_body(request, SpeechBody, MAX_BYTES)
    config = request.app[CONFIG]
    text = check_text(body.input, config.max_input)
    wanted = await understand(body, config)
    headers = voice_headers(wanted) | ignored_headers(body)
    async with request.app[SERVICES].synthesizer.open(wanted, "speech", client=request.remote) as session:
        session.add_text(text)
        session.end_text()

        def more() -> dict[str, str]:
            return with_session(headers, session)

        if body.stream_format == "sse":
            return await stream_events(request, session, body.response_format, more, lambda: _done(session))
        if (query.stream if body.stream is None else body.stream) is False and body.stream_format is None:
            return await whole_audio(session, body.response_format, more)
        return await stream_audio(request, session, body.response_format, more)


class SpeechUrlQuery(Query):
    """A text and how it is spoken, as a URL that anything can play."""

    input: str = Field(description="The text to speak.")
    model: str | None = Field(None, description="As in the body of a POST.")
    voice: str | None = Field(None, description="As in the body of a POST.")
    language: str | None = Field(None, description="As in the body of a POST.")
    instructions: str | None = Field(None, description="As in the body of a POST.")
    response_format: str | None = Field(None, description="As in the body of a POST.")
    speed: str | None = Field(None, description="As in the body of a POST.")


@resource.operation(
    "GET",
    "/v1/audio/speech",
    "Play a text",
    query=SpeechUrlQuery,
    answers={200: dict.fromkeys(MEDIA_TYPES.values())},
    errors=(404, 429, 500, 501, 503),
)
async def play(request: web.Request) -> web.StreamResponse:
    """Speaks a text that is in the URL, for players that can only open URLs; web pages of other origins are refused.

    With `--key-in-url`, the API key may be in the URL too, as `key`.
    """
    config = request.app[CONFIG]
    if not origin_allowed(request.headers, config.access.at(request).cors_origins):
        raise foreign_origin()
    query = parse_query(request, SpeechUrlQuery)
    text = check_text(query.input, config.max_input)
    fields = parse_json(query.model_dump_json(exclude={"input"}, exclude_none=True), SpeechFields)
    wanted = await understand(fields, config)
    if request.method == "HEAD":
        return web.Response(headers={"Content-Type": MEDIA_TYPES[fields.response_format]})
    headers = voice_headers(wanted)
    async with request.app[SERVICES].synthesizer.open(wanted, "speech", client=request.remote) as session:
        session.add_text(text)
        session.end_text()
        return await stream_audio(request, session, fields.response_format, lambda: with_session(headers, session))


def with_session(headers: Mapping[str, str], session: SpeechSession) -> dict[str, str]:
    """Return the headers with what is known once there is sound: the model, the history entry and warnings.

    No model speaks a text that is only pauses and emoji.
    """
    model = session.report.model
    kept = {"X-History-Id": session.history_id} if session.history_id else {}
    known = kept if model == "none" else kept | model_headers(model)
    return with_warnings({**headers, **known}, session.report.warnings)


def model_headers(model: str) -> dict[str, str]:
    """Return the headers that name the checkpoint, and say whether it is Qwen3 or the standby voice."""
    return {"X-Model-Used": model, "X-Engine": "standby" if model == "standby" else "qwen3"}


def usage(report: Report) -> dict[str, int]:
    """Return the usage: tokens of the text as input, codec frames as output."""
    return {
        "input_tokens": report.text_tokens,
        "output_tokens": report.frames,
        "total_tokens": report.text_tokens + report.frames,
    }


def _done(session: SpeechSession) -> dict[str, object]:
    warnings = spoken_warnings(session.request, session.report)
    told: dict[str, object] = {"warnings": warnings} if warnings else {}
    return {"type": "speech.audio.done", "usage": usage(session.report), **told}

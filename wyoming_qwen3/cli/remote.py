"""Speaks through a running server, and lists its voices, over its HTTP API."""

import contextlib
import http.client
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

from wyoming_qwen3.core.errors import InvalidRequest, SpeechError

from .audio_output import check_output, file_format, player, written_whole
from .messages import tell
from .options import Settings
from .text_input import check_speakable
from .voice_list import ANY_LANGUAGE, ListedVoice

_READ_BYTES = 16 << 10
_READ_SECONDS = 600.0
"""Longest wait for the server's next bytes: it may have to load a checkpoint first."""

_IS_IT_OURS = "is it wyoming-qwen3's HTTP port?"

_SAMPLING = ("temperature", "top_k", "top_p", "repetition_penalty", "seed")
"""Options that a request has too, by the same names."""

_UNSENT = ("max_frames", "sentence_pause", "normalize", "dictionary", "alias", "start", "max_hold", "text_streaming")
"""Options on how a text is spoken that a request has not: the server uses its own."""


def say_through(settings: Settings, text: str | None) -> None:
    """Speak a text, or all of standard input for None, with the server's voices; write or play what it answers.

    Options that were not chosen are left to the server. Raises InvalidRequest with the server's sentence if it refuses,
    and SpeechError if it can't be reached or its answer is not complete.
    """
    text = sys.stdin.read() if text is None else text
    check_speakable(text)
    check_output(settings.output)
    with _opened(settings, "/v1/audio/speech", _body(settings, text)) as answer:
        kind = answer.headers.get_content_type()
        if not kind.startswith("audio/"):
            raise InvalidRequest(f"The server at {settings.server} answered with {kind}, not audio; {_IS_IT_OURS}")
        with written_whole(settings.output) if settings.output else player() as sink:
            while data := _read(answer, settings.server):
                sink.write(data)
        warning = json.loads(f'"{answer.headers.get("X-Warning", "")}"')
        told = f"Spoken by {answer.headers.get('X-Model-Used', 'an unknown model')} at {settings.server}"
    tell([*filter(None, (_left_out(settings), warning)), told])


def voices_at(settings: Settings) -> tuple[list[ListedVoice], list[ListedVoice]]:
    """Return the server's built-in voices and its kept voices.

    Raises SpeechError if it can't be reached, and InvalidRequest if its list is another server's.
    """
    try:
        with _opened(settings, "/v1/audio/voices", None) as answer:
            entries = json.load(answer)["voices"]
        listed = [
            (one["type"] == "builtin", ListedVoice(one["id"], _language(one["language"]), one["description"]))
            for one in entries
        ]
    except (ValueError, KeyError, TypeError):
        raise InvalidRequest(f"The server at {settings.server} lists no voices as ours does; {_IS_IT_OURS}") from None
    return [voice for built_in, voice in listed if built_in], [voice for built_in, voice in listed if not built_in]


def _language(name: str) -> str:
    return ANY_LANGUAGE if name == "Auto" else name


def _left_out(settings: Settings) -> str | None:
    """Return a sentence on chosen options that only apply to speech on this machine; None if there are none."""
    names = [f"--{name.replace('_', '-')}" for name in _UNSENT if name in settings.chosen]
    return f"Left out, because the server's own setting applies: {', '.join(names)}." if names else None


def _body(settings: Settings, text: str) -> dict[str, Any]:
    """Return the request: the text, and what was chosen."""
    chosen, sampling = settings.chosen, settings.sampling
    body: dict[str, Any] = {"input": text, "response_format": file_format(settings.output)}
    body |= {"stream": settings.output is None}  # a whole file has its length in it
    body |= {name: getattr(sampling, name) for name in _SAMPLING if name in chosen}
    if "speed" in chosen:
        body["speed"] = settings.speed
    if settings.voice_name:
        body["voice"] = settings.voice_name
    if "language" in chosen:
        body["language"] = settings.language.code if settings.language else "Auto"
    if "model" in chosen and settings.model:
        body["model"] = f"qwen3-tts-{settings.model.lower()}"
    if "standby" in chosen:
        body |= {"model": "standby"} if settings.standby == "only" else {"standby": settings.standby}
    if style := " ".join(filter(None, (settings.style if "style" in chosen else None, settings.instruct))):
        body |= {"instructions": style, "voice": settings.voice_name or "default"}
    return body | ({"strict": True} if settings.strict else {})


@contextlib.contextmanager
def _opened(settings: Settings, path: str, body: dict[str, Any] | None) -> Iterator[http.client.HTTPResponse]:
    """Yield the server's answer to a request: POST of JSON, or GET for None."""
    headers = {"Content-Type": "application/json"}
    if settings.api_key:
        headers["Authorization"] = f"Bearer {settings.api_key}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{settings.server}{path}", data, headers)  # option_types.url checked the scheme
    try:
        with urllib.request.urlopen(request, timeout=_READ_SECONDS) as answer:
            yield answer
    except urllib.error.HTTPError as error:
        raise InvalidRequest(_sentence(error, settings.server)) from None
    except urllib.error.URLError as error:
        why = getattr(error.reason, "strerror", None) or str(error.reason)
        raise SpeechError(f"The server at {settings.server} can't be reached: {why}.") from None
    except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
        if isinstance(error, http.client.BadStatusLine) and not isinstance(error, ConnectionError):
            raise InvalidRequest(f"The server at {settings.server} does not speak HTTP; {_IS_IT_OURS}") from None
        raise _broken_off(settings.server) from None


def _read(answer: http.client.HTTPResponse, server: str | None) -> bytes:
    """Return the next bytes of an answer; b"" at its end. Raises SpeechError if it is not complete."""
    try:
        data = answer.read(_READ_BYTES)
    except (http.client.HTTPException, OSError):  # whoever writes them would take this for an error of the disk
        raise _broken_off(server) from None
    if not data and answer.length:  # the bytes that are left: `read` takes an early end for the end
        raise _broken_off(server)
    return data


def _broken_off(server: str | None) -> SpeechError:
    return SpeechError(f"The answer of the server at {server} broke off; its log says why.")


def _sentence(error: urllib.error.HTTPError, server: str | None) -> str:
    """Return the message of a server's error; a sentence with the status if it is none of ours."""
    try:
        return str(json.load(error)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"The server at {server} answered {error.code} {error.reason}; {_IS_IT_OURS}"

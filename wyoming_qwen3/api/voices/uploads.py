"""Clips of a voice, as forms bring them, to recordings that can be kept.

Knows neither routes nor where anything lies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from aiohttp import web
from pydantic import Field
from pydantic_core import from_json, to_json

from wyoming_qwen3.api.body import Form, FormShape, read_form
from wyoming_qwen3.api.validation import Fields, parse_json
from wyoming_qwen3.audio.decode import DecodedClip, read_clip
from wyoming_qwen3.audio.reference import ClipFinding, read_recording
from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.core.request import Reference

MAX_CLIPS = 16
"""Of one form."""

MAX_BYTES = 60 << 20
"""Of a form with several clips."""

_CLIP_BYTES = 10 << 20
_FIELDS_BYTES = 64 << 10
"""Of what is in a form besides its clip."""

CLIPS = FormShape({"samples": MAX_CLIPS}, repeated={"ref_texts": MAX_CLIPS}, file_bytes=_CLIP_BYTES)
CLIP = FormShape({"audio": 1, "file": 1}, file_bytes=_CLIP_BYTES)

_DECODED_SECONDS = 60.0
"""What is longer is not even looked at."""


class ClipFields(Fields):
    """What the clip says that is in `audio`, or in `file`."""

    ref_text: str | None = Field(None, max_length=2000, description="What the clip says.")
    x_vector_only_mode: bool = Field(False, description="Clone its timbre alone, without ref_text.")


@dataclass(frozen=True)
class UploadedClip:
    """A clip that came: its file, what it is said to say, and the field of the request that it came in."""

    data: bytes
    text: str | None
    param: str


def fields_json(form: Form, shape: FormShape) -> bytes:
    """The text fields of a form as a JSON object; those that are blank are left out.

    One that may be repeated is a list; it may also come once, as a list in JSON.
    """
    once = {name: texts[0] for name, texts in form.fields.items() if name not in shape.repeated and texts[0].strip()}
    often = {name: _listed(texts) for name, texts in form.fields.items() if name in shape.repeated}
    return to_json({**once, **often})


async def read_one(request: web.Request) -> tuple[bytes, ClipFields]:
    """The clip in a form with one, and what it says. Raises InvalidRequest, and what `read_form` raises."""
    form = await read_form(request, _CLIP_BYTES + _FIELDS_BYTES, CLIP)
    files = [file for name in CLIP.files for file in form.files.get(name, ())]
    if len(files) != 1:
        raise InvalidRequest("The form must have one file, called 'audio'.", param="audio")
    return files[0], parse_json(fields_json(form, CLIP), ClipFields)


def uploaded_clip(data: bytes, fields: ClipFields) -> UploadedClip:
    """That clip with its text. Raises InvalidRequest where that is missing."""
    return UploadedClip(data, _said(fields.ref_text, "ref_text", timbre=fields.x_vector_only_mode), "audio")


def uploaded_clips(files: Sequence[bytes], texts: Sequence[str], *, timbre: bool) -> list[UploadedClip]:
    """Clips with what they say, in the same order; with `timbre` they say nothing. Raises InvalidRequest."""
    if len(texts) > len(files):
        raise InvalidRequest("There are more ref_texts than samples; send one for each, in order.", param="ref_texts")
    return [
        UploadedClip(data, _said(text, f"ref_texts[{number}]", timbre=timbre), f"samples[{number}]")
        for number, (data, text) in enumerate(zip_longest(files, texts))
    ]


def decode(data: bytes) -> DecodedClip:
    """A clip to be looked at. Takes tens of milliseconds. Raises InvalidRequest, and TooLarge beyond a minute."""
    return read_clip(data, max_seconds=_DECODED_SECONDS, param="audio")


def to_recordings(sent: Sequence[UploadedClip]) -> list[Reference]:
    """Clips to be kept. Takes tens of milliseconds for each.

    Raises TooLarge, and InvalidRequest for one that can't be read or is of no use.
    """
    return [to_recording(one)[0] for one in sent]


def to_recording(sent: UploadedClip) -> tuple[Reference, tuple[ClipFinding, ...]]:
    """One of them, and what could be better about it. Raises as `to_recordings` does."""
    return read_recording(sent.data, sent.text, sent.param, max_seconds=_DECODED_SECONDS)


def _said(text: str | None, param: str, *, timbre: bool) -> str | None:
    if timbre:
        return None
    if said := (text or "").strip():
        return said
    raise InvalidRequest(
        f"{param} is missing: send what the clip says, or x_vector_only_mode true for its timbre alone.", param=param
    )


def _listed(texts: list[str]) -> list[object]:
    if len(texts) == 1 and texts[0].lstrip().startswith("["):
        try:
            return list(from_json(texts[0]))
        except ValueError:  # somebody says something in brackets
            pass
    return list(texts)

"""Clips of a voice, from a form's files to recordings that can be kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from aiohttp import web
from pydantic import Field
from pydantic_core import from_json, to_json

from wyoming_qwen3.api.body import Form, FormShape, read_form
from wyoming_qwen3.api.validation import Fields, parse_json
from wyoming_qwen3.audio.decode import DecodedClip, read_clip
from wyoming_qwen3.audio.reference import RECORDING_SECONDS, ClipFinding, read_recording
from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.core.request import Reference

MAX_CLIPS = 16
"""Maximum number of clips in a form."""

MAX_BYTES = 60 << 20
"""Maximum size in bytes of a form with several clips."""

_CLIP_BYTES = 10 << 20
_FIELDS_BYTES = 64 << 10
"""Maximum size in bytes of what a form has besides its clip."""

CLIPS = FormShape({"samples": MAX_CLIPS}, repeated={"ref_texts": MAX_CLIPS}, file_bytes=_CLIP_BYTES)
CLIP = FormShape({"audio": 1, "file": 1}, file_bytes=_CLIP_BYTES)


class ClipFields(Fields):
    """The text of the clip in `audio` or `file`."""

    ref_text: str | None = Field(None, max_length=2000, description="The text spoken in the clip.")
    x_vector_only_mode: bool = Field(False, description="Clone only its timbre, without ref_text.")


@dataclass(frozen=True)
class UploadedClip:
    """A clip from a form: its file, the text that it is said to contain, and the field that it came in.

    With `timbre`, only its timbre is wanted; without it and without a text, that is what is cloned, too.
    """

    data: bytes
    text: str | None
    param: str
    timbre: bool = False


def fields_json(form: Form, shape: FormShape) -> bytes:
    """Return the text fields of a form as a JSON object, without blank ones.

    A field that may be repeated becomes a list; it may also come once, as a JSON list.
    """
    once = {name: texts[0] for name, texts in form.fields.items() if name not in shape.repeated and texts[0].strip()}
    often = {name: _listed(texts) for name, texts in form.fields.items() if name in shape.repeated}
    return to_json({**once, **often})


async def read_one(request: web.Request) -> tuple[bytes, ClipFields]:
    """Return the clip of a form with one clip, and its fields. Raises InvalidRequest, and what `read_form` raises."""
    form = await read_form(request, _CLIP_BYTES + _FIELDS_BYTES, CLIP)
    files = [file for name in CLIP.files for file in form.files.get(name, ())]
    if len(files) != 1:
        raise InvalidRequest("The form must have one file, in the field 'audio'.", param="audio")
    return files[0], parse_json(fields_json(form, CLIP), ClipFields)


def uploaded_clip(data: bytes, fields: ClipFields) -> UploadedClip:
    """Return the clip with its text."""
    return UploadedClip(data, _said(fields.ref_text), "audio", timbre=fields.x_vector_only_mode)


def uploaded_clips(files: Sequence[bytes], texts: Sequence[str], *, timbre: bool) -> list[UploadedClip]:
    """Return clips with their texts, in order. Raises InvalidRequest if there are more texts than clips."""
    if len(texts) > len(files):
        raise InvalidRequest(
            "There are more ref_texts than samples; send one for each sample, in order.", param="ref_texts"
        )
    return [
        UploadedClip(data, _said(text), f"samples[{number}]", timbre=timbre)
        for number, (data, text) in enumerate(zip_longest(files, texts))
    ]


def decode(data: bytes) -> DecodedClip:
    """Decode a clip to check it, in tens of milliseconds. Raises InvalidRequest, and TooLarge beyond five minutes."""
    return read_clip(data, max_seconds=RECORDING_SECONDS, param="audio")


def to_recording(sent: UploadedClip) -> tuple[Reference, tuple[ClipFinding, ...]]:
    """Return one clip as it is kept, and what could be better about it. Takes tens of milliseconds.

    Raises TooLarge, and InvalidRequest for a clip that can't be decoded or used.
    """
    return read_recording(sent.data, sent.text, sent.param, timbre=sent.timbre)


def to_recordings(sent: Sequence[UploadedClip]) -> list[tuple[Reference, tuple[ClipFinding, ...]]]:
    """Return what `to_recording` returns of each clip."""
    return [to_recording(one) for one in sent]


def _said(text: str | None) -> str | None:
    return (text or "").strip() or None


def _listed(texts: list[str]) -> list[object]:
    if len(texts) == 1 and texts[0].lstrip().startswith("["):
        try:
            return list(from_json(texts[0]))
        except ValueError:  # a spoken text that begins with a bracket
            pass
    return list(texts)

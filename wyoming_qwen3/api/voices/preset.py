"""Presets and previews of presets as JSON."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel

from wyoming_qwen3.core.checkpoints import PUBLISHED, published
from wyoming_qwen3.speech.shared import Services
from wyoming_qwen3.speech.voice_design import VoicePreview
from wyoming_qwen3.store.clips import StoredClip
from wyoming_qwen3.store.voices.voice import KeptVoice

from .kept import KeptEntry, entry_fields, language_name, preview_url


class PresetEntry(KeptEntry):
    """A preset: a built-in speaker (`voice`), or a voice from words, whose other fields say how it was made."""

    effects: list[dict[str, Any]]
    sample_text: str | None
    model: str | None
    """The checkpoint that made it; for a built-in speaker, the one that speaks it."""

    size: str | None
    seed: int | None
    preview_url: str | None


class PresetList(BaseModel):
    """All presets, ordered by name."""

    presets: list[PresetEntry]


class PreviewEntry(BaseModel):
    """A voice that can be heard for a while, and kept by its `preview_id`."""

    preview_id: str
    preview_url: str
    seed: int
    description: str
    sample_text: str
    language: str
    duration_ms: int
    status: Literal["preview"] = "preview"


async def describe(services: Services, voice: KeptVoice) -> PresetEntry:
    """Return a preset as JSON."""
    return (await describe_all(services, [voice]))[0]


async def describe_all(services: Services, voices: Sequence[KeptVoice]) -> list[PresetEntry]:
    """Return presets as JSON."""
    told = await entry_fields(services, voices)
    return [_describe(services, voice, fields) for voice, fields in zip(voices, told, strict=True)]


def describe_preview(clip: StoredClip, preview: VoicePreview) -> PreviewEntry:
    """Return a preview as JSON, with the URL of its clip."""
    return PreviewEntry(
        preview_id=clip.id,
        preview_url=f"/api/clips/{clip.id}",
        seed=preview.design.seed,
        description=preview.design.description,
        sample_text=preview.design.sample_text,
        language=language_name(preview.language),
        duration_ms=round(1000 * preview.seconds),
    )


def _describe(services: Services, voice: KeptVoice, fields: dict[str, Any]) -> PresetEntry:
    design = voice.design
    speaks = published("custom_voice", services.models.size)
    made_by = next((one for one in PUBLISHED if design and one.name == design.model), None)
    model = speaks if voice.manner.speaker else made_by
    return PresetEntry(
        **fields,
        sample_text=design.sample_text if design else None,
        model=model.name if model else None,
        size=model.size if model else None,
        seed=design.seed if design else None,
        preview_url=preview_url(voice),
    )

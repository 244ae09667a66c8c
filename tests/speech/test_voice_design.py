"""Voices from words, before any is made: what they say, what is refused beforehand, and previews that may be kept."""

from pathlib import Path

import numpy as np
import pytest

from tests.parts import make_services
from wyoming_qwen3.core.errors import InvalidRequest, ModelMissing, NameExists, NotFound
from wyoming_qwen3.core.request import Reference, Sampling
from wyoming_qwen3.core.speakers import LANGUAGES, Language, find_language
from wyoming_qwen3.speech.voice_design import VoiceDesigner, VoicePreview, VoicePreviews, sample_text
from wyoming_qwen3.store.clips import Clips
from wyoming_qwen3.store.voices.voice import Design, Manner
from wyoming_qwen3.text.pieces import Script, SpokenPiece


def preview(number: int = 0) -> VoicePreview:
    """Of two seconds, no two alike, as a file of 16 bits has it."""
    hum = np.sin(np.arange(48_000, dtype=np.float32) / (20 + number)) / 2
    samples = (np.rint(hum * 32768) / 32768).astype(np.float32)
    design = Design("A voice.", "**Hello** there.", number, "Qwen3-TTS-12Hz-1.7B-VoiceDesign")
    return VoicePreview(Reference(samples, 24_000, "Hello there."), design, find_language("de"))


@pytest.fixture
async def clips(tmp_path: Path) -> Clips:
    clips = Clips(tmp_path / "clips", keep_seconds=3600)
    await clips.open()
    return clips


@pytest.fixture
def designer(tmp_path: Path) -> VoiceDesigner:
    """One whose models folder is empty."""
    services = make_services(tmp_path, "--standby", "off")
    return VoiceDesigner(services.synthesizer, services.models, services.prompts, services.store.voices)


@pytest.mark.parametrize("language", [*LANGUAGES, None])
def test_there_is_something_to_say_in_every_language(language: Language | None) -> None:
    """In one piece, two sentences of some seven seconds."""
    script = Script()
    script.add_text(sample_text(language))
    script.end_text()
    (piece,) = iter(script.take, None)
    assert isinstance(piece, SpokenPiece)
    assert piece.text[-1] in "?？。"
    characters_a_second = 5 if language and language.code in ("zh", "ja", "ko") else 15
    assert 5 <= len(piece.text) / characters_a_second <= 15


async def test_a_sketch_is_found_as_it_was_drawn(clips: Clips) -> None:
    previews = VoicePreviews(clips)
    clip = await previews.add(preview(3))
    assert (clip.extension, clip.seconds) == ("wav", 2.0)
    found = await previews.get(clip.id)
    assert (found.design, found.language, found.clip.text) == (preview(3).design, preview(3).language, "Hello there.")
    assert np.array_equal(found.clip.samples, preview(3).clip.samples)


async def test_a_sketch_goes_with_its_clip_and_with_the_program(clips: Clips) -> None:
    previews = VoicePreviews(clips)
    deleted, lost, unknown = [await previews.add(preview(number)) for number in range(3)]
    await clips.delete(deleted.id)
    clips.path(lost.id).unlink()
    for clip_id in (deleted.id, lost.id, "nobody"):
        with pytest.raises(NotFound, match="preview"):
            await previews.get(clip_id)
    with pytest.raises(NotFound, match="preview"):
        await VoicePreviews(clips).get(unknown.id)


async def test_only_the_latest_sketches_are_remembered(clips: Clips) -> None:
    previews = VoicePreviews(clips)
    first, *others = [await previews.add(preview(number)) for number in range(65)]
    with pytest.raises(NotFound):
        await previews.get(first.id)
    assert [(await previews.get(clip.id)).design.seed for clip in others] == list(range(1, 65))


async def test_names_are_refused_before_models(designer: VoiceDesigner, tmp_path: Path) -> None:
    services = make_services(tmp_path, "--standby", "off")
    designer = VoiceDesigner(services.synthesizer, services.models, services.prompts, services.store.voices)
    await services.store.voices.create("Taken", "profile", Manner(), [])
    with pytest.raises(NameExists):
        await designer.check("taken")
    with pytest.raises(InvalidRequest, match="reserved"):
        await designer.check("Ryan", overwrite=True)
    with pytest.raises(ModelMissing):
        await designer.check("taken", overwrite=True)


async def test_a_text_that_says_nothing_is_refused_before_models(designer: VoiceDesigner) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await designer.preview("A voice.", " 🙂 ... ", None, Sampling())
    assert refused.value.param == "sample_text"

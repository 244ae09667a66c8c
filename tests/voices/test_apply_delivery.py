"""The request for a part of a text that directs how it is spoken."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wyoming_qwen3.core.defaults import Defaults
from wyoming_qwen3.core.effects import Effect, read_effects
from wyoming_qwen3.core.request import KeptVoiceRef, Reference, SpeechRequest
from wyoming_qwen3.core.speakers import Speaker, find_language, find_voice
from wyoming_qwen3.store.voices.store import VoiceStore
from wyoming_qwen3.store.voices.voice import Manner
from wyoming_qwen3.text.delivery import DEFAULT_DELIVERY, Delivery
from wyoming_qwen3.voices.apply_delivery import apply_delivery
from wyoming_qwen3.voices.resolver import VoiceResolver

RYAN, SERENA = find_voice("ryan")[0], find_voice("serena")[0]
CLIP = Reference(np.zeros(24_000, np.float32), 24_000, "Hello.")
REQUEST = SpeechRequest(RYAN, find_language("en"), "like a pirate", speed=1.2, strict=True)


@pytest.fixture
async def cast(tmp_path: Path) -> VoiceResolver:
    """Commander is cloned, German, quick and quiet."""
    voices = VoiceStore(tmp_path)
    await voices.open()
    quiet = read_effects([{"type": "gain", "gain_db": -3}])
    await voices.create("Commander", "preset", Manner(language=find_language("de"), speed=1.5, effects=quiet), [CLIP])
    return VoiceResolver(Defaults(RYAN), voices)


async def test_without_directions_it_is_the_request_itself(cast: VoiceResolver) -> None:
    assert apply_delivery(cast, REQUEST, DEFAULT_DELIVERY) == (REQUEST, ())


async def test_style_speed_level_and_language(cast: VoiceResolver) -> None:
    found, warnings = apply_delivery(cast, REQUEST, Delivery(language="German", style="sad", speed=0.5, gain=6.0))
    assert not warnings
    assert found == replace(
        REQUEST,
        language=find_language("de"),
        instruct="sad",
        strict=False,
        speed=0.6,
        effects=(Effect("gain", (6.0,)),),
    )


@pytest.mark.parametrize(("speed", "expected"), [(0.01, 0.25), (100.0, 4.0)])
async def test_the_speed_stays_within_what_requests_may_have(
    cast: VoiceResolver, speed: float, expected: float
) -> None:
    assert apply_delivery(cast, REQUEST, Delivery(speed=speed))[0].speed == expected


async def test_another_speaker_speaks_as_the_client_asked(cast: VoiceResolver) -> None:
    found, warnings = apply_delivery(cast, REQUEST, Delivery(voice="SERENA"))
    assert not warnings
    assert found == replace(REQUEST, voice=SERENA)


async def test_a_kept_voice_brings_its_manner_and_takes_it_away_again(cast: VoiceResolver) -> None:
    kept = cast.voices.get("commander")
    found, _ = apply_delivery(cast, SpeechRequest(RYAN), Delivery(voice="commander"))
    assert (found.voice, found.voice_name) == (KeptVoiceRef(kept.id, kept.revision), "Commander")
    assert (found.language, found.speed, found.effects) == (find_language("de"), 1.5, kept.manner.effects)
    back, _ = apply_delivery(cast, found, Delivery(voice="ryan"))
    assert (back.voice, back.voice_name, back.speed, back.effects) == (RYAN, None, 1.0, ())


async def test_a_voice_of_a_language_speaks_it_unless_the_text_says_otherwise(cast: VoiceResolver) -> None:
    assert apply_delivery(cast, REQUEST, Delivery(voice="ryan-ja"))[0].language == find_language("ja")
    assert apply_delivery(cast, REQUEST, Delivery(voice="commander-fr"))[0].language == find_language("fr")
    both, warnings = apply_delivery(cast, REQUEST, Delivery(voice="commander-fr", language="it"))
    assert (both.voice, both.language) == (RYAN, find_language("it"))
    assert len(warnings) == 1


@pytest.mark.parametrize("delivery", [Delivery(voice="nosuch"), Delivery(language="nosuch")])
async def test_what_does_not_exist_leaves_it_as_it_was_and_says_so(cast: VoiceResolver, delivery: Delivery) -> None:
    found, warnings = apply_delivery(cast, REQUEST, delivery)
    assert found == REQUEST
    assert len(warnings) == 1
    assert "nosuch" in warnings[0]


async def test_the_name_of_another_servers_voice_is_replaced_by_one_like_it(cast: VoiceResolver) -> None:
    found, warnings = apply_delivery(cast, SpeechRequest(RYAN), Delivery(voice="af_bella"))
    assert isinstance(found.voice, Speaker)
    assert found.voice != RYAN
    assert "af_bella" in warnings[0]

"""What the history keeps of an utterance is enough to have it spoken again."""

import json
from pathlib import Path

import numpy as np
import pytest

from wyoming_qwen3.core.effects import read_effects
from wyoming_qwen3.core.errors import InvalidRequest, VoiceNotFound
from wyoming_qwen3.core.request import ClonePrompt, Description, KeptVoiceRef, Reference, Sampling, SpeechRequest
from wyoming_qwen3.core.speakers import find_language, find_voice
from wyoming_qwen3.speech.replay import facts, from_json, to_json
from wyoming_qwen3.speech.report import Report
from wyoming_qwen3.store.voices.store import VoiceStore
from wyoming_qwen3.store.voices.voice import Manner
from wyoming_qwen3.text.pieces import Pause, Segment, SpokenPiece

RYAN = find_voice("ryan")[0]
SAID: list[Segment] = [SpokenPiece("The door is open."), Pause(0.5), SpokenPiece("Close it.")]

REQUESTS = [
    SpeechRequest(RYAN),
    SpeechRequest(RYAN, find_language("de"), "whispering", Sampling(seed=7), voice_name="Secret Ryan"),
    SpeechRequest(Description("An old man."), sampling=Sampling(0.0, 5, 0.9, 1.1, 2**63 - 1, 100)),
    SpeechRequest(RYAN, ssml=True, speed=1.25, length=40, size="1.7B", standby="off"),
    SpeechRequest(RYAN, effects=read_effects([{"type": "gain", "gain_db": -3}, {"type": "reverb"}])),
]


@pytest.fixture
async def voices(tmp_path: Path) -> VoiceStore:
    store = VoiceStore(tmp_path)
    await store.open()
    return store


@pytest.mark.parametrize("request_", REQUESTS, ids=range(len(REQUESTS)))
def test_a_request_survives_json(request_: SpeechRequest) -> None:
    told = json.loads(json.dumps(to_json(request_, SAID)))
    assert from_json(told, VoiceStore(Path("nowhere"))) == (request_, SAID)


def test_words_that_were_fed_to_the_model_one_by_one_are_no_pieces() -> None:
    """Then the text alone is kept, and spoken as any text."""
    assert from_json(to_json(REQUESTS[0], None), VoiceStore(Path("nowhere"))) == (REQUESTS[0], None)


def test_another_seed_changes_nothing_else() -> None:
    again, said = from_json(to_json(REQUESTS[1], SAID), VoiceStore(Path("nowhere")), seed=8)
    assert (again.sampling.seed, again.voice_name, said) == (8, "Secret Ryan", SAID)


async def test_a_kept_voice_speaks_as_it_is_now_and_not_once_it_is_deleted(voices: VoiceStore) -> None:
    clip = Reference(np.zeros(24_000, np.float32), 24_000, "Hello.")
    voice = await voices.create("Commander", "profile", Manner(), [clip])
    told = to_json(SpeechRequest(KeptVoiceRef(voice.id, voice.revision), voice_name="Commander"), SAID)
    changed = await voices.add_samples(voice.id, [clip])
    assert changed.revision != voice.revision
    assert from_json(told, voices)[0].voice == KeptVoiceRef(voice.id, changed.revision)
    await voices.delete(voice.id)
    with pytest.raises(VoiceNotFound, match="Commander"):
        from_json(told, voices)


@pytest.mark.parametrize(
    "voice", [Reference(np.zeros(9, np.float32), 24_000), ClonePrompt(np.zeros(9, np.float32))], ids=["clip", "prompt"]
)
def test_a_clip_that_came_along_is_not_kept(voice: Reference | ClonePrompt) -> None:
    told = to_json(SpeechRequest(voice), SAID)
    assert "0.0" not in json.dumps(told)
    with pytest.raises(InvalidRequest, match="clip that came with its request"):
        from_json(told, VoiceStore(Path("nowhere")))


def test_the_facts_are_what_a_person_looks_for() -> None:
    report = Report("Qwen3-TTS-12Hz-0.6B-CustomVoice", 26, first_audio=0.2, audio=2.0, wall=3.0, outcome="whole")
    kept = facts("**The** door is open.", SAID, "wyoming", REQUESTS[1], report)
    assert (kept.text, kept.source, kept.voice, kept.language) == (
        "**The** door is open.",
        "wyoming",
        "Secret Ryan",
        "de",
    )
    assert from_json(kept.params, VoiceStore(Path("nowhere")))[0].size == "0.6B"
    assert (kept.model, kept.seed, kept.first_audio, kept.wall) == ("Qwen3-TTS-12Hz-0.6B-CustomVoice", 7, 0.2, 3.0)
    assert [facts("", [], "x", one, report).voice for one in REQUESTS[::2]] == ["Ryan", "design", "Ryan"]

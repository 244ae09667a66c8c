"""What a request's fields mean: who speaks what, in which style, and what is refused."""

import base64
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.api.clips import SAID, data_url
from tests.api.voices.forms import wav
from tests.audio.sounds import CHINESE, ENGLISH, quiet, speech
from tests.parts import make_cast
from wyoming_qwen3.api.app_keys import Config
from wyoming_qwen3.api.model_names import ModelWish, find_model, model_id
from wyoming_qwen3.api.speech_request import SpeechFields, check_text, understand, voice_headers
from wyoming_qwen3.api.voices.uploads import UploadedClip, to_recording
from wyoming_qwen3.core.checkpoints import PUBLISHED
from wyoming_qwen3.core.defaults import Defaults
from wyoming_qwen3.core.effects import read_effects
from wyoming_qwen3.core.errors import (
    InvalidRequest,
    LanguageNotSupported,
    ModelNotFound,
    SpeechError,
    TooLarge,
    VoiceNotFound,
)
from wyoming_qwen3.core.request import (
    SAMPLE_RATE,
    Description,
    FloatArray,
    KeptVoiceRef,
    Reference,
    Sampling,
    SpeechRequest,
    VoiceFallback,
)
from wyoming_qwen3.core.speakers import Speaker, find_language, find_voice
from wyoming_qwen3.ops.metrics import Metrics
from wyoming_qwen3.store.voices.store import VoiceStore
from wyoming_qwen3.store.voices.voice import Manner
from wyoming_qwen3.voices.clone_prompts import ClonePrompts
from wyoming_qwen3.voices.resolver import VoiceResolver

RYAN = find_voice("ryan")[0]
CLIP = data_url(2.0)


def sent(file: bytes) -> str:
    return f"data:audio/wav;base64,{base64.b64encode(file).decode()}"


def written(samples: FloatArray, rate: int, **how: str) -> bytes:
    """A file that soundfile can write."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, **how)
    return file.getvalue()


GOOD = sent(wav(speech(4.0)))


async def meaning(config: Config | None = None, **fields: Any) -> SpeechRequest:
    return await understand(SpeechFields.model_validate(fields), config or Config(make_cast()))


def told(request: SpeechRequest) -> tuple[str, str | None]:
    """Who speaks, and the code of the language."""
    voice = request.voice.id if isinstance(request.voice, Speaker) else type(request.voice).__name__
    return voice, request.language.code if request.language else None


@pytest.mark.parametrize(
    ("fields", "voice", "language"),
    [
        ({}, "ryan", None),
        ({"voice": None, "language": None}, "ryan", None),
        ({"voice": "", "language": ""}, "ryan", None),
        ({"voice": "  "}, "ryan", None),
        ({"voice": "Default"}, "ryan", None),
        ({"voice": "Vivian"}, "vivian", None),
        ({"voice": "VIVIAN"}, "vivian", None),
        ({"voice": " uncle fu "}, "uncle_fu", None),
        ({"voice": {"id": "Ryan"}}, "ryan", None),
        ({"voice": {"id": ""}}, "ryan", None),
        ({"voice": "alloy"}, "aiden", None),
        ({"voice": "Cedar"}, "ryan", None),
        ({"voice": "ryan-de"}, "ryan", "de"),
        ({"voice": "ryan-de", "language": "German"}, "ryan", "de"),
        ({"voice": "ryan-de", "language": "Auto"}, "ryan", "de"),
        ({"voice": "alloy", "language": "pt-BR"}, "aiden", "pt"),
        ({"language": "zh"}, "vivian", "zh"),
        ({"language": "ja-JP"}, "ono_anna", "ja"),
        ({"language": "Korean"}, "sohee", "ko"),
        ({"voice": "default", "language": "Korean"}, "sohee", "ko"),
        ({"language": "fr"}, "ryan", "fr"),
        ({"language": " AUTO "}, "ryan", None),
        ({"instructions": "An old man."}, "Description", None),
        ({"instructions": "An old man.", "voice": "", "language": "de"}, "Description", "de"),
        ({"instructions": "An old man.", "voice": " Design "}, "Description", None),
        ({"instructions": "An old man.", "voice": {"id": "design"}}, "Description", None),
        ({"voice_design": "An old man."}, "Description", None),
        ({"instructions": "Tired.", "voice": "default"}, "ryan", None),
        ({"ref_audio": CLIP, "ref_text": SAID}, "Reference", None),
        ({"ref_audio": CLIP, "ref_text": SAID, "voice": "alloy", "language": "ru"}, "Reference", "ru"),
        ({"reference_audio": CLIP, "clone_transcript": SAID}, "Reference", None),
        ({"ref_audio": CLIP, "x_vector_only_mode": True}, "Reference", None),
    ],
)
async def test_who_speaks_which_language(fields: dict[str, Any], voice: str, language: str | None) -> None:
    assert told(await meaning(**fields)) == (voice, language)


@pytest.mark.parametrize("name", ["instructions", "voice_design", "instruct"])
async def test_a_named_speaker_takes_words_as_style_and_a_described_one_as_itself(name: str) -> None:
    words: dict[str, Any] = {name: " Tired. "}
    styled = await meaning(voice="Ryan", **words)
    assert (styled.voice, styled.instruct) == (RYAN, "Tired.")
    described = await meaning(**words)
    assert (described.voice, described.instruct) == (Description("Tired."), None)


async def test_blank_words_are_none() -> None:
    request = await meaning(instructions="", voice_design=" \n", instruct=None)
    assert (request.voice, request.instruct) == (RYAN, None)


async def test_a_clone_keeps_words_for_the_checkpoint_to_refuse() -> None:
    assert (await meaning(ref_audio=CLIP, ref_text=SAID, instructions="Tired.")).instruct == "Tired."


FILES = {
    "16 bits": wav(np.concatenate([quiet(2.0), speech(4.0, -30), quiet(0.8)])),
    "floats at 96 kHz": written(np.tile(speech(4.0, rate=96_000)[:, None], 2), 96_000, format="WAV", subtype="FLOAT"),
    "24 bits at 16 kHz": written(speech(4.0, rate=16_000), 16_000, format="FLAC", subtype="PCM_24"),
    "Vorbis": written(speech(4.0, rate=44_100), 44_100, format="OGG", subtype="VORBIS"),
}


@pytest.mark.parametrize("text", [ENGLISH, None], ids=["text", "timbre"])
@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
async def test_a_clip_that_is_sent_along_is_cloned_as_a_kept_one(tmp_path: Path, file: bytes, text: str | None) -> None:
    """Sample for sample: without the silence around it, and with half a second after it so that its end is heard."""
    voices = VoiceStore(tmp_path)
    await voices.open()
    kept = await voices.create("Anna", "profile", Manner(), [to_recording(UploadedClip(file, text, "samples[0]"))[0]])
    expected = await ClonePrompts(voices, Metrics()).reference(KeptVoiceRef(kept.id, kept.revision))
    words = {"x_vector_only_mode": True} if text is None else {"ref_text": f" {text} "}
    voice = (await meaning(ref_audio=sent(file), **words)).voice
    assert isinstance(voice, Reference)
    assert (voice.sample_rate, voice.text) == (SAMPLE_RATE, text) == (expected.sample_rate, expected.text)
    np.testing.assert_array_equal(voice.samples, expected.samples)
    assert voice.samples[-SAMPLE_RATE // 2 :].any() == (text is None)
    assert voice.samples.size == pytest.approx((4.0 + (text is not None) * 0.5) * SAMPLE_RATE, abs=0.25 * SAMPLE_RATE)


USELESS = [
    (speech(0.9), ENGLISH, "at least 1 s is needed"),
    (quiet(4.0), ENGLISH, "is silent"),
    (speech(4.0, -60), ENGLISH, "is silent"),
    (speech(4.0), "...", "no letters"),
    (speech(4.0), "Hello.", "write all that the clip says"),
    (speech(4.0), ENGLISH * 9, "write only what the clip says"),
    (speech(4.0), CHINESE * 3, "write only what the clip says"),
]


@pytest.mark.parametrize(("samples", "text", "said"), USELESS, ids=[said for _, _, said in USELESS])
async def test_a_clip_that_can_not_be_kept_can_not_be_sent_along(samples: FloatArray, text: str, said: str) -> None:
    """With the same sentence."""
    file = wav(samples)
    with pytest.raises(InvalidRequest) as kept:
        to_recording(UploadedClip(file, text, "ref_audio"))
    with pytest.raises(InvalidRequest) as caught:
        await meaning(ref_audio=sent(file), ref_text=text)
    assert said in str(caught.value)
    assert (type(caught.value), str(caught.value), caught.value.param) == (InvalidRequest, str(kept.value), "ref_audio")


async def test_what_could_be_better_about_a_clip_is_a_warning() -> None:
    samples = np.concatenate([quiet(1.5), speech(4.0, -40), quiet(0.2)])
    told = voice_headers(await meaning(ref_audio=sent(wav(samples)), ref_text=ENGLISH))["X-Warning"]
    assert re.fullmatch(r"The speech is quiet .* is good\. The clip has 1\.5 s of silence before .* is good\.", told)
    assert "X-Warning" not in voice_headers(await meaning(ref_audio=sent(wav(speech(4.0))), ref_text=ENGLISH))


@pytest.mark.parametrize("text", [None, " "])
async def test_without_a_text_the_timbre_alone_is_cloned_and_that_is_a_warning(text: str | None) -> None:
    understood = await meaning(ref_audio=CLIP, ref_text=text)
    assert isinstance(understood.voice, Reference)
    assert understood.voice.text is None
    assert "only its timbre is cloned" in voice_headers(understood)["X-Warning"]


async def test_a_long_recording_is_cut_and_that_is_a_warning() -> None:
    understood = await meaning(ref_audio=data_url(60.0), x_vector_only_mode=True)
    assert isinstance(understood.voice, Reference)
    assert understood.voice.samples.size <= 15 * SAMPLE_RATE
    assert "of its 60.0 s are used" in voice_headers(understood)["X-Warning"]


async def test_timbre_alone_needs_no_text_and_uses_none() -> None:
    voice = (await meaning(ref_audio=CLIP, ref_text=SAID, x_vector_only_mode=True)).voice
    assert isinstance(voice, Reference)
    assert voice.text is None


@pytest.mark.parametrize(
    ("fields", "error", "param", "said"),
    [
        ({"voice": "nobody"}, VoiceNotFound, "voice", "Vivian, Serena, Uncle_Fu"),
        ({"voice": {"id": "nobody"}}, VoiceNotFound, "voice", "'nobody'"),
        ({"voice": "ryan-nl"}, VoiceNotFound, "voice", "'ryan-nl'"),
        ({"voice": "ryan-de", "language": "fr"}, InvalidRequest, "language", "leave one of them out"),
        ({"language": "nl"}, LanguageNotSupported, "language", "zh (chinese), en (english), ja (japanese)"),
        ({"language": "nl", "instructions": "An old man."}, LanguageNotSupported, "language", "'nl'"),
        ({"language": "nl", "ref_audio": CLIP, "ref_text": SAID}, LanguageNotSupported, "language", "'nl'"),
        ({"voice": "design"}, InvalidRequest, "instructions", "no instructions describe it"),
        ({"instructions": "a", "voice_design": "b"}, InvalidRequest, "instructions", "send one"),
        ({"voice_design": "a", "instruct": "b"}, InvalidRequest, "voice_design", "send one"),
        ({"ref_audio": CLIP, "reference_audio": CLIP[:-4]}, InvalidRequest, "ref_audio", "send one"),
        ({"ref_audio": CLIP, "ref_text": "a", "clone_transcript": "b"}, InvalidRequest, "ref_text", "send one"),
        ({"model": "gpt-5"}, ModelNotFound, "model", "'gpt-5'"),
        ({"model": "qwen3-tts-base"}, InvalidRequest, "model", "qwen3-tts-base clones a voice; send ref_audio"),
        ({"model": "qwen3-tts-voicedesign", "voice": "Ryan"}, InvalidRequest, "model", "in a voice that is described"),
        ({"model": "qwen3-tts-customvoice", "instructions": "a"}, InvalidRequest, "model", "a named speaker"),
        (
            {"model": "qwen3-tts-customvoice", "ref_audio": CLIP, "ref_text": SAID},
            InvalidRequest,
            "model",
            "no ref_audio",
        ),
        ({"ref_text": "Hello."}, InvalidRequest, "ref_audio", "which is missing"),
        ({"x_vector_only_mode": True}, InvalidRequest, "ref_audio", "which is missing"),
        ({"ref_audio": data_url(0.9), "ref_text": "a"}, InvalidRequest, "ref_audio", "ref_audio: The clip has 0.9 s"),
        ({"ref_audio": data_url(0.9)}, InvalidRequest, "ref_audio", "ref_audio: The clip has 0.9 s"),
        ({"ref_audio": "data:audio/wav;base64,QUJDRA==", "ref_text": "a"}, InvalidRequest, "ref_audio", "WAV, AIFF"),
        ({"ref_audio": "data:audio/wav;base64,@@@@", "ref_text": "a"}, InvalidRequest, "ref_audio", "base64"),
        ({"ref_audio": "data:text/html;base64,QUJD", "ref_text": "a"}, InvalidRequest, "ref_audio", "no other URL"),
        ({"ref_audio": "http://127.0.0.1/a.wav", "ref_text": "a"}, InvalidRequest, "ref_audio", "no other URL or path"),
        ({"effects": [{"type": "echo"}]}, InvalidRequest, "effects[0].type", "reverb"),
        (
            {"effects": [{"type": "reverb"}, {"type": "pitch", "semitones": 13}]},
            InvalidRequest,
            "effects[1].semitones",
            "12",
        ),
    ],
)
async def test_what_is_refused(fields: dict[str, Any], error: type[SpeechError], param: str, said: str) -> None:
    with pytest.raises(error) as caught:
        await meaning(**fields)
    assert type(caught.value) is error
    assert caught.value.param == param
    assert said in str(caught.value)


async def test_a_path_to_a_clip_is_not_read(tmp_path: Path) -> None:
    """Neither as it is nor as a file: URL, although the file is a fine clip."""
    path = tmp_path / "clip.wav"
    path.write_bytes(base64.b64decode(CLIP.partition(",")[2]))
    for url in (str(path), path.as_uri()):
        with pytest.raises(InvalidRequest, match="no other URL or path is read"):
            await meaning(ref_audio=url, ref_text="Hello.")


async def test_a_clip_of_more_than_10_megabytes_is_too_large() -> None:
    with pytest.raises(TooLarge, match="ref_audio"):
        await meaning(ref_audio="data:audio/wav;base64," + "A" * (14 << 20), ref_text="Hello.")


@pytest.mark.parametrize("fields", [{"effects": []}, {"effects": None, "save": None}])
async def test_nothing_wished_is_nothing_refused(fields: dict[str, Any]) -> None:
    assert told(await meaning(**fields)) == ("ryan", None)


async def test_an_unknown_voice_falls_back_where_the_server_is_set_so() -> None:
    lenient = Config(replace(make_cast(), fallback="on"))
    request = await meaning(lenient, voice="nobody")
    assert told(request) == ("ryan", None)
    assert voice_headers(request) == {
        "X-Voice": "Ryan",
        "X-Language": "Auto",
        "X-Warning": "There is no voice 'nobody'; Ryan speaks instead, in the language of the text.",
    }
    assert told(await meaning(lenient, voice="nobody", language="ja")) == ("ono_anna", "ja")
    assert told(await meaning(lenient, voice="nobody-de")) == ("ryan", "de")
    assert told(await meaning(lenient, voice="nobody", language="nl")) == ("ryan", None)
    german = voice_headers(await meaning(lenient, voice="Zoë 🎙-de"))
    assert german["X-Warning"] == (
        r"There is no voice 'Zo\u00eb \ud83c\udf99-de'; Ryan speaks instead, in German. "
        "Ryan is at home in English; German may have an accent."
    )
    assert "X-Warning" in voice_headers(await meaning(lenient, voice="nobody", model="standby"))


@pytest.mark.parametrize("fallback", ["auto", "off"])
async def test_else_an_unknown_voice_is_an_error(fallback: VoiceFallback) -> None:
    strict = Config(replace(make_cast(), fallback=fallback))
    for fields in ({"voice": "nobody"}, {"voice": "nobody-de"}):
        with pytest.raises(VoiceNotFound):
            await meaning(strict, **fields)
    with pytest.raises(LanguageNotSupported):
        await meaning(strict, voice="ryan", language="nl")
    assert strict.resolver.faults() == []


async def test_the_servers_defaults_hold_for_what_is_left_out() -> None:
    defaults = Defaults(RYAN, find_language("de"), Sampling(temperature=0.5, seed=1, max_frames=100))
    config = Config(make_cast(defaults))
    assert told(await meaning(config)) == ("ryan", "de")
    assert told(await meaning(config, instructions="An old man.")) == ("Description", "de")
    assert told(await meaning(config, ref_audio=CLIP, ref_text=SAID)) == ("Reference", "de")
    assert (await meaning(config)).sampling == defaults.sampling
    given = await meaning(config, temperature=0, top_k=5, top_p=0.9, repetition_penalty=1.1, seed=0, max_new_tokens=9)
    assert given.sampling == Sampling(0, 5, 0.9, 1.1, 0, 100)
    assert given.length == 9


@pytest.fixture
async def keeping(tmp_path: Path) -> Config:
    """A server with two kept voices: Commander, cloned, slow and quiet; and Whisper, Ryan with a style."""
    voices = VoiceStore(tmp_path)
    await voices.open()
    clip = Reference(np.zeros(24_000, np.float32), 24_000, "Hello.")
    manner = Manner(speed=0.9, effects=read_effects([{"type": "gain", "gain_db": -3}]))
    await voices.create("Commander", "preset", manner, [clip])
    await voices.create("Whisper", "preset", Manner(speaker=RYAN, instructions="whispering"), [])
    return Config(VoiceResolver(Defaults(RYAN), voices))


async def test_a_kept_voice_brings_its_manner_along(keeping: Config) -> None:
    request = await meaning(keeping, voice="commander")
    assert isinstance(request.voice, KeptVoiceRef)
    assert (request.voice_name, request.speed, [one.type for one in request.effects]) == ("Commander", 0.9, ["gain"])
    assert voice_headers(request)["X-Voice"] == "Commander"
    assert (await meaning(keeping, voice={"id": request.voice.id})).voice == request.voice


async def test_what_a_request_says_replaces_a_kept_voices_own(keeping: Config) -> None:
    request = await meaning(keeping, voice="Commander", speed=2, effects=[])
    assert (request.speed, request.effects) == (2.0, ())


async def test_a_style_comes_before_the_words_of_a_request(keeping: Config) -> None:
    assert (await meaning(keeping, voice="whisper")).instruct == "whispering"
    assert (await meaning(keeping, voice="whisper", instructions="in a hurry")).instruct == "whispering in a hurry"
    assert (await meaning(keeping, voice="whisper")).voice == RYAN


async def test_a_kept_voice_is_for_the_kind_that_speaks_it(keeping: Config) -> None:
    assert (await meaning(keeping, voice="commander", model="qwen3-tts-base")).size is None
    with pytest.raises(InvalidRequest, match="speaks as a named speaker"):
        await meaning(keeping, voice="commander", model="qwen3-tts-customvoice")


@pytest.mark.parametrize("save", [True, False, None])
async def test_whether_it_is_kept_is_as_asked(save: bool | None) -> None:
    assert (await meaning(save=save)).save is save


async def test_speed_is_as_given_and_1_by_default() -> None:
    assert [(await meaning(speed=speed)).speed for speed in (None, 0.25, 4)] == [1.0, 0.25, 4.0]


@pytest.mark.parametrize(
    ("model", "server", "asked", "mode"),
    [
        (None, {}, None, "auto"),
        ("tts-1", {}, None, "auto"),
        ("gpt-4o-mini-tts-2025-12-15", {}, None, "auto"),
        ("tts-1", {}, "off", "off"),
        ("tts-1", {"http_standby": "off"}, None, "off"),
        ("tts-1", {"http_standby": "off"}, "auto", "auto"),
        ("qwen3-tts", {}, None, "off"),
        ("qwen3-tts-0.6b", {}, "auto", "auto"),
        ("standby", {}, None, "only"),
        (" Standby ", {"http_standby": "off"}, "off", "only"),
        ("tts-1", {"standby_only": True}, None, "only"),
    ],
)
async def test_the_standby_voice_speaks_where_it_is_asked_for_or_where_no_model_was_chosen_or_alone(
    model: str | None, server: dict[str, Any], asked: str | None, mode: str
) -> None:
    assert (await meaning(Config(make_cast(), **server), model=model, standby=asked)).standby == mode


async def test_an_unknown_model_is_replaced_where_unknown_voices_are() -> None:
    lenient = Config(replace(make_cast(), fallback="on"))
    request = await meaning(lenient, model="kokoro")
    assert (request.warnings, request.standby) == (("There is no model 'kokoro'; qwen3-tts speaks instead.",), "auto")


@pytest.mark.parametrize(
    ("server", "asked", "strict"), [(False, None, False), (True, None, True), (True, False, False), (False, True, True)]
)
async def test_a_request_may_be_strict_itself_or_by_the_server(server: bool, asked: bool | None, strict: bool) -> None:
    assert (await meaning(Config(make_cast(), strict=server), strict=asked)).strict == strict


async def test_instructions_as_long_as_a_system_prompt_cost_nothing_but_themselves() -> None:
    request = await meaning(voice="ryan", instructions="Be kind. " * 300)
    assert request.instruct is None
    assert request.warnings == (
        "The instructions were left out: they have 2,699 characters; at most 2,000 are followed.",
    )


async def test_volume_is_a_gain_before_the_effects() -> None:
    request = await meaning(volume_multiplier=2, effects=[{"type": "reverb"}])
    assert [effect.type for effect in request.effects] == ["gain", "reverb"]
    assert request.effects[0].to_json()["gain_db"] == pytest.approx(6.02, abs=0.01)
    assert (await meaning(volume_multiplier=1)).effects == ()


@pytest.mark.parametrize(("code", "language"), [("a", "en"), ("b", "en"), ("z", "zh"), ("p", "pt"), ("h", None)])
async def test_kokoro_s_languages_are_letters(code: str, language: str | None) -> None:
    spoken = (await meaning(lang_code=code)).language
    assert (spoken.code if spoken else None) == language


@pytest.mark.parametrize(
    ("fields", "voice", "language"),
    [
        ({"speaker": "vivian", "lang_code": "de"}, "vivian", "de"),
        ({"speaker": {"id": "vivian"}, "language_code": "de-CH"}, "vivian", "de"),
        ({"voice": "vivian", "speaker": "ryan", "lang": "fr", "language": "it"}, "vivian", "it"),
    ],
)
async def test_voice_and_language_have_further_names(fields: dict[str, Any], voice: str, language: str) -> None:
    request = await meaning(**fields)
    assert isinstance(request.voice, Speaker)
    assert request.language
    assert (request.voice.id, request.language.code) == (voice, language)


@pytest.mark.parametrize(
    ("name", "wish"),
    [
        (None, ModelWish(any=True)),
        (" ", ModelWish(any=True)),
        ("qwen3-tts", ModelWish()),
        ("tts-1", ModelWish(any=True)),
        ("tts-1-hd", ModelWish(any=True)),
        ("gpt-4o-mini-tts", ModelWish(any=True)),
        ("gpt-4o-mini-tts-2025-12-15", ModelWish(any=True)),
        ("tts-1-1106", ModelWish(any=True)),
        ("standby", ModelWish(standby=True)),
        ("qwen3-tts-1.7b", ModelWish(None, "1.7B")),
        ("Qwen3-TTS-0.6B", ModelWish(None, "0.6B")),
        ("qwen3-tts-base", ModelWish("base")),
        ("qwen3-tts-1.7b-voicedesign", ModelWish("voice_design", "1.7B")),
        ("Qwen/Qwen3-TTS-12Hz-0.6B-CustomVoice", ModelWish("custom_voice", "0.6B")),
    ],
)
def test_what_a_models_name_means(name: str | None, wish: ModelWish) -> None:
    assert find_model(name) == wish


@pytest.mark.parametrize("name", ["qwen3", "qwen3-tts-3b", "qwen3-tts-0.6b-voicedesign", "tts-2", "qwen3-tts-1.7"])
def test_models_that_there_are_not(name: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        find_model(name)
    assert caught.value.param == "model"


def test_every_checkpoint_is_found_by_its_id_and_its_repository() -> None:
    for checkpoint in PUBLISHED:
        wish = ModelWish(checkpoint.kind, checkpoint.size)
        assert find_model(model_id(checkpoint)) == find_model(checkpoint.repository) == wish


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_an_empty_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="input is empty"):
        check_text(text, 10)


def test_a_text_may_have_so_many_characters() -> None:
    assert check_text("ü" * 10, 10) == "ü" * 10
    with pytest.raises(InvalidRequest, match="input has 11 characters; at most 10"):
        check_text("ü" * 11, 10)


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({}, {"X-Voice": "Ryan", "X-Language": "Auto"}),
        ({"language": "en"}, {"X-Voice": "Ryan", "X-Language": "English"}),
        ({"language": "zh"}, {"X-Voice": "Vivian", "X-Language": "Chinese"}),
        ({"instructions": "An old man.", "language": "de"}, {"X-Voice": "design", "X-Language": "German"}),
        ({"ref_audio": GOOD, "ref_text": ENGLISH}, {"X-Voice": "clone", "X-Language": "Auto"}),
        ({"model": "standby", "voice": "vivian"}, {"X-Voice": "standby", "X-Language": "English"}),
        (
            {"voice": "ryan-de"},
            {
                "X-Voice": "Ryan",
                "X-Language": "German",
                "X-Warning": "Ryan is at home in English; German may have an accent.",
            },
        ),
    ],
)
async def test_headers_say_what_was_understood(fields: dict[str, Any], headers: dict[str, str]) -> None:
    assert voice_headers(await meaning(**fields)) == headers


@pytest.mark.parametrize(("asked", "ssml"), [(None, False), (False, False), (True, True)])
async def test_the_text_is_ssml_if_the_request_says_so(asked: bool | None, ssml: bool) -> None:
    assert (await meaning(ssml=asked)).ssml == ssml

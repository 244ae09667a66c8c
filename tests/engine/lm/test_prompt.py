"""The talker's input is upstream's within the rounding of float32, for every kind of request."""

import numpy as np
import pytest
import torch

from tests.engine.conftest import LoadPair
from tests.engine.golden import Pair, assert_near, clip, clone, request
from wyoming_qwen3.core.checkpoints import Kind, Size
from wyoming_qwen3.core.errors import InstructionsNotSupported, InvalidRequest
from wyoming_qwen3.core.request import ClonePrompt, Description, Reference, SpeechRequest, Voice
from wyoming_qwen3.core.speakers import LANGUAGES, SPEAKERS, find_voice
from wyoming_qwen3.engine.checkpoint.published import open_codec
from wyoming_qwen3.engine.codec.encoder import clone_prompt
from wyoming_qwen3.engine.lm.prompt import PromptBuilder, PromptConditions, prefills_whole_text, prepare
from wyoming_qwen3.engine.lm.text_track import encode

TEXTS = ("Hi", "Guten Morgen, wie geht es dir heute?", "你好，世界。 It's 12 o'clock\n\n— a naïve 👩‍🚀 test.")


def check(pair: Pair, request: SpeechRequest, text: str, *, whole_text_first: bool) -> None:
    golden = pair.prompt(request, text, non_streaming_mode=whole_text_first)
    ids = encode(pair.published.tokenizer, text)
    with torch.inference_mode():
        conditions = prepare(pair.published, request)
        prompt = builder(pair).build(conditions, ids, whole_text_first=whole_text_first)
    assert_near(prompt.prefill, golden["inputs_embeds"][0])
    assert_near(prompt.trailing, golden["trailing_text_hidden"][0])
    assert_near(prompt.pad, golden["tts_pad_embed"][0, 0])


def builder(pair: Pair) -> PromptBuilder:
    return pair.decoder._prompts


@pytest.mark.parametrize("whole_text_first", [True, False])
@pytest.mark.parametrize("size", ["0.6B", "1.7B"])
@pytest.mark.parametrize("kind", ["custom_voice", "voice_design", "base"])
@pytest.mark.parametrize("text", TEXTS)
def test_prompt_of_each_kind_and_text_mode(
    pairs: LoadPair, kind: Kind, size: Size, text: str, whole_text_first: bool
) -> None:
    pair = pairs(kind, size)
    check(pair, request(pair), text, whole_text_first=whole_text_first)


@pytest.mark.parametrize("language", ["auto", *(language.code for language in LANGUAGES)])
@pytest.mark.parametrize("speaker", [speaker.id for speaker in SPEAKERS])
def test_speakers_and_languages_with_their_dialects(pairs: LoadPair, speaker: str, language: str) -> None:
    pair = pairs("custom_voice", "0.6B")
    check(pair, request(pair, language, speaker), "Hallo", whole_text_first=False)


@pytest.mark.parametrize("whole_text_first", [True, False])
@pytest.mark.parametrize("instruct", ["Speak softly.", "Whisper:\n\nslowly, 慢慢地!"])
def test_instruction_of_custom_voice(pairs: LoadPair, instruct: str, whole_text_first: bool) -> None:
    pair = pairs("custom_voice", "1.7B")
    check(pair, request(pair, instruct=instruct), "Hello there.", whole_text_first=whole_text_first)


@pytest.mark.parametrize("whole_text_first", [True, False])
@pytest.mark.parametrize("frames", [2, 10, 19, 20, 21, 60])
@pytest.mark.parametrize("size", ["0.6B", "1.7B"])
def test_continued_clone_with_clips_shorter_and_longer_than_the_text(
    pairs: LoadPair, size: Size, frames: int, whole_text_first: bool
) -> None:
    pair = pairs("base", size)
    check(pair, request(pair, frames=frames), "Hello there.", whole_text_first=whole_text_first)


def test_text_mode_is_upstreams_default_of_each_kind(pairs: LoadPair) -> None:
    kinds: tuple[Kind, ...] = ("custom_voice", "voice_design", "base")
    for kind in kinds:
        pair = pairs(kind, "1.7B")
        by_default = pair.prompt(request(pair), TEXTS[1])["inputs_embeds"]
        chosen = pair.prompt(request(pair), TEXTS[1], non_streaming_mode=prefills_whole_text(kind))["inputs_embeds"]
        assert_near(by_default, chosen)


def test_description_and_instruction_are_joined(pairs: LoadPair) -> None:
    pair = pairs("voice_design", "1.7B")
    joined = prepare(pair.published, SpeechRequest(Description(" An old man. "), instruct="Angry."))
    apart = prepare(pair.published, SpeechRequest(Description("An old man. Angry.")))
    assert joined.instruct_ids == apart.instruct_ids


@pytest.mark.parametrize(("kind", "size"), [("custom_voice", "0.6B"), ("base", "0.6B"), ("base", "1.7B")])
def test_instruction_is_refused_where_it_would_be_ignored(pairs: LoadPair, kind: Kind, size: Size) -> None:
    pair = pairs(kind, size)
    prepare(pair.published, request(pair, instruct="  "))
    with pytest.raises(InstructionsNotSupported):
        prepare(pair.published, request(pair, instruct="Speak softly."))


@pytest.mark.parametrize("kind", ["custom_voice", "voice_design", "base"])
def test_voice_of_another_kind_is_refused(pairs: LoadPair, kind: Kind) -> None:
    fitting: dict[Kind, Voice] = {
        "custom_voice": find_voice("ryan")[0],
        "voice_design": Description("Old."),
        "base": clone(32),
    }
    for other, voice in fitting.items():
        if other != kind:
            with pytest.raises(InvalidRequest, match="another kind of voice"):
                prepare(pairs(kind, "0.6B").published, SpeechRequest(voice))


@pytest.mark.parametrize(
    ("voice", "message"),
    [
        (clone(48), "another size"),
        (ClonePrompt(np.zeros(32, np.float32), np.zeros((4, 8), np.int64), "Hi"), "must have 16"),
        (ClonePrompt(np.zeros(32, np.float32), np.zeros((4, 16), np.int64), " "), "is empty"),
    ],
)
def test_clone_prompt_that_does_not_fit_is_refused(pairs: LoadPair, voice: ClonePrompt, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        prepare(pairs("base", "0.6B").published, SpeechRequest(voice))


def test_tokens_needed_before_a_prefill() -> None:
    assert PromptConditions((), None).tokens_needed() == 1
    assert PromptConditions((), None, clone=clone(32)).tokens_needed() == 1
    assert PromptConditions((), None, clone=clone(32, 30), reference_ids=tuple(range(8))).tokens_needed() == 23
    assert PromptConditions((), None, clone=clone(32, 3), reference_ids=tuple(range(8))).tokens_needed() == 1


def prompt_of(pair: Pair, reference: Reference) -> ClonePrompt:
    return clone_prompt(pair.published, open_codec(pair.path / "speech_tokenizer"), reference, "cpu", torch.float32)


@pytest.mark.parametrize("rate", [24000, 16000, 44100])
@pytest.mark.parametrize("text", [None, "What the clip says."])
def test_reference_clip_gives_upstreams_clone_prompt(pairs: LoadPair, rate: int, text: str | None) -> None:
    pair = pairs("base", "0.6B")
    reference = clip(rate=rate, text=text)
    ours = prompt_of(pair, reference)
    [golden] = pair.golden.create_voice_clone_prompt(
        (reference.samples, rate), ref_text=text, x_vector_only_mode=text is None
    )
    assert_near(torch.from_numpy(ours.speaker_embedding), golden.ref_spk_embedding)
    assert ours.text == text
    if text is None:
        assert ours.codes is None
    else:
        assert ours.codes is not None
        assert len(np.unique(ours.codes)) > 10
        assert torch.equal(torch.from_numpy(ours.codes), golden.ref_code)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (Reference(np.zeros((2, 24000), np.float32), 24000), "mono"),
        (Reference(np.full(24000, np.nan, np.float32), 24000), "finite"),
        (Reference(np.zeros(11999, np.float32), 24000), "at least 0.5 seconds"),
        (Reference(np.zeros(24000, np.float32), 24000, "  "), "is empty"),
    ],
)
def test_unusable_reference_clip_is_refused(pairs: LoadPair, reference: Reference, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        prompt_of(pairs("base", "0.6B"), reference)


def test_only_base_clones(pairs: LoadPair) -> None:
    with pytest.raises(InvalidRequest, match="Only a Base"):
        prompt_of(pairs("custom_voice", "0.6B"), clip())

"""What is decided of servers, and what is read out of their answers, without any."""

import base64
import io

import numpy as np
import pytest
import soundfile

from tests.vllm.wheel import protocol
from wyoming_qwen3.audio import pcm
from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.errors import (
    BackendUnavailable,
    EngineFailed,
    InstructionsNotSupported,
    InvalidRequest,
    ModelNotFound,
    NotSupported,
    QueueFull,
    RunawaySpeech,
    SpeechError,
)
from wyoming_qwen3.core.request import ClonePrompt, Description, Reference, Sampling, SpeechRequest, Voice
from wyoming_qwen3.core.speakers import find_language, find_voice
from wyoming_qwen3.vllm.body import speech_body, voice_fields
from wyoming_qwen3.vllm.choice import choose_checkpoint, choose_server
from wyoming_qwen3.vllm.failure import Blame, broken, refusal
from wyoming_qwen3.vllm.server import Server
from wyoming_qwen3.vllm.serving import Unrecognised, recognise
from wyoming_qwen3.vllm.stream import PcmReader, SseReader, StreamError, reader_for
from wyoming_qwen3.vllm.watch import retry_delay
from wyoming_qwen3.voices.clone_prompts import prepare

RYAN = find_voice("ryan")[0]
LARGE, SMALL = Checkpoint("custom_voice", "1.7B"), Checkpoint("custom_voice", "0.6B")
DESIGN, BASE = Checkpoint("voice_design", "1.7B"), Checkpoint("base", "0.6B")
CLIP = Reference(np.zeros(48_000, np.float32), 24_000, "Hello.")


# Which checkpoint


@pytest.mark.parametrize(
    ("request_", "served", "preferred", "chosen"),
    [
        (SpeechRequest(RYAN), {LARGE: True, SMALL: True}, None, LARGE),
        (SpeechRequest(RYAN), {LARGE: True, SMALL: True}, "0.6B", SMALL),
        (SpeechRequest(RYAN), {LARGE: False, SMALL: True}, "1.7B", SMALL),
        (SpeechRequest(RYAN), {LARGE: False, SMALL: False}, None, LARGE),
        (SpeechRequest(RYAN, size="0.6B"), {LARGE: True, SMALL: False}, None, SMALL),
        (SpeechRequest(RYAN, instruct="sad"), {LARGE: False, SMALL: True}, "0.6B", LARGE),
        (SpeechRequest(RYAN, instruct="sad"), {SMALL: True}, None, SMALL),
        (SpeechRequest(CLIP, instruct="sad"), {BASE: True}, None, BASE),
        (SpeechRequest(Description("deep")), {LARGE: True, DESIGN: True}, "0.6B", DESIGN),
        (SpeechRequest(CLIP), {LARGE: True, BASE: False}, None, BASE),
    ],
)
def test_the_checkpoint_that_speaks(
    request_: SpeechRequest, served: dict[Checkpoint, bool], preferred: str | None, chosen: Checkpoint
) -> None:
    assert choose_checkpoint(request_, served, [], preferred) == chosen  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("request_", "served", "unknown", "error"),
    [
        (SpeechRequest(RYAN), {}, [None], BackendUnavailable),
        (SpeechRequest(RYAN), {BASE: True}, ["custom_voice"], BackendUnavailable),
        (SpeechRequest(RYAN), {BASE: True}, ["voice_design"], NotSupported),
        (SpeechRequest(RYAN), {BASE: True}, [], NotSupported),
        (SpeechRequest(RYAN, size="1.7B"), {SMALL: True}, [], ModelNotFound),
        (SpeechRequest(RYAN, instruct="sad", strict=True), {SMALL: True}, [], InstructionsNotSupported),
        (SpeechRequest(RYAN, instruct="sad", strict=True), {SMALL: True}, [None], BackendUnavailable),
        (SpeechRequest(CLIP, instruct="sad", strict=True), {BASE: True}, [], InstructionsNotSupported),
        (SpeechRequest(RYAN, sampling=Sampling(temperature=0.5)), {LARGE: True}, [], NotSupported),
        (SpeechRequest(RYAN, sampling=Sampling(top_k=5)), {LARGE: True}, [], NotSupported),
    ],
)
def test_what_no_server_speaks(
    request_: SpeechRequest, served: dict[Checkpoint, bool], unknown: list[str | None], error: type[SpeechError]
) -> None:
    with pytest.raises(error):
        choose_checkpoint(request_, served, unknown, None)  # type: ignore[arg-type]


# Which server

NOW = 100.0


def server(name: str, *, up: bool = True, active: int = 0, asked: float = 0.0, doubtful: float = 0.0) -> Server:
    return Server(name, up=up, serves={LARGE: "x"}, active=active, last_asked=asked, doubtful_until=doubtful)


A, B, C = server("a", active=2), server("b", active=1, asked=9.0), server("c", active=1, asked=8.0)
DOWN, DOUBTFUL = server("down", up=False), server("doubtful", doubtful=NOW + 1)


@pytest.mark.parametrize(
    ("servers", "tried", "chosen"),
    [
        ([A, B, C], [], C),
        ([A, B, C], [(C, Blame.BROKEN)], B),
        ([A, B, C], [(C, Blame.AWAY), (B, Blame.AWAY)], A),
        ([A, B, C], [(C, Blame.BROKEN), (B, Blame.BROKEN)], None),
        ([A, B, C], [(C, Blame.AWAY), (B, Blame.BROKEN)], A),
        ([A], [(A, Blame.BROKEN)], A),
        ([A], [(A, Blame.BROKEN), (A, Blame.BROKEN)], None),
        ([A], [(A, Blame.BUSY)], None),
        ([A, B], [(A, Blame.BUSY), (B, Blame.BUSY)], None),
        ([DOWN], [], None),
        ([DOWN], [(DOWN, Blame.BROKEN)], None),
        ([DOUBTFUL, A], [], A),
        ([DOUBTFUL, DOWN], [], DOUBTFUL),
        ([], [], None),
    ],
)
def test_the_server_that_is_asked_next(
    servers: list[Server], tried: list[tuple[Server, Blame]], chosen: Server | None
) -> None:
    assert choose_server(servers, LARGE, tried, NOW) is chosen
    assert choose_server(servers, BASE, tried, NOW) is None


def test_a_server_that_stays_away_is_looked_at_ever_more_seldom() -> None:
    assert [retry_delay(failures) for failures in (1, 2, 3, 20)] == [0.5, 1.0, 2.0, 10.0]


# What is served


@pytest.mark.parametrize(
    ("models", "hint", "size", "served"),
    [
        ([{"id": "Qwen/Qwen3-TTS-12Hz-1.7B-CustomVoice"}], None, None, {LARGE}),
        ([{"id": "Qwen/Qwen3-TTS-12Hz-0.6B-Base", "root": None}], None, None, {BASE}),
        ([{"id": "tts", "root": "/models/Qwen3-TTS-12Hz-0.6B-CustomVoice"}], None, None, {SMALL}),
        ([{"id": "tts", "root": "tts"}], "custom_voice", "0.6B", {SMALL}),
        ([{"id": "tts"}], "voice_design", "0.6B", {DESIGN}),
        ([{"id": "my-custom-voice"}], None, None, {LARGE}),
        ([{"id": "qwen3_tts_0.6b_base"}, {"id": "Qwen3-TTS-VoiceDesign"}], None, None, {BASE, DESIGN}),
    ],
)
def test_what_a_list_of_models_says(
    models: list[object], hint: str | None, size: str | None, served: set[Checkpoint]
) -> None:
    assert set(recognise({"data": models}, hint, size)) == served  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("listing", "hint", "said"),
    [
        ({"data": [{"id": "meta/llama"}]}, None, "serves meta/llama, which names no kind"),
        ({"data": [{"id": "database-8b"}]}, None, "names no kind"),
        ({"data": []}, None, "serves nothing"),
        ({"data": [{"id": "Qwen3-TTS-12Hz-1.7B-Base"}]}, "custom_voice", "is configured as CustomVoice, but serves"),
        ({"models": []}, None, "does not list"),
        ([], None, "does not list"),
        ("<html>", None, "does not list"),
        ({"data": [5]}, None, "does not list"),
    ],
)
def test_what_is_no_list_of_ours(listing: object, hint: str | None, said: str) -> None:
    with pytest.raises(Unrecognised, match=said):
        recognise(listing, hint, None)  # type: ignore[arg-type]


# What is sent


@pytest.mark.parametrize(
    ("voice", "checkpoint", "expected"),
    [
        (RYAN, LARGE, {"voice": "ryan", "instructions": "sad"}),
        (Description("deep"), DESIGN, {"voice": None, "instructions": "deep sad"}),
        (CLIP, BASE, {"ref_text": "Hello.", "x_vector_only_mode": None}),
        (Reference(CLIP.samples, 24_000), BASE, {"ref_text": None, "x_vector_only_mode": True}),
        (ClonePrompt(np.ones(1024, np.float32)), BASE, {"speaker_embedding": [1.0] * 1024, "ref_audio": None}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_body_is_what_vllm_omni_takes(voice: Voice, checkpoint: Checkpoint, expected: dict[str, object]) -> None:
    request = SpeechRequest(voice, find_language("de"), "sad", Sampling(seed=2**63 - 1, max_frames=100))
    body = speech_body(request, "Hallo.", checkpoint, "m", voice_fields(voice))
    model = protocol().OpenAICreateSpeechRequest
    parsed = model.model_validate(body)
    assert set(body) <= set(model.model_fields)
    assert {name: getattr(parsed, name) for name in expected} == expected
    assert (parsed.language, parsed.input, parsed.model, parsed.seed) == ("German", "Hallo.", "m", 2**63 - 1)
    assert parsed.is_raw_audio_stream()
    assert (parsed.response_format, parsed.max_new_tokens) == ("pcm", 100)


def test_a_clip_that_servers_would_refuse_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="at most 30 s"):
        voice_fields(Reference(np.ones(round(30.1 * 24_000), np.float32), 24_000))


@pytest.mark.parametrize(("seconds", "text"), [(30.0, "Long."), (30.0, None), (0.4, "Short."), (0.4, None)])
def test_a_prepared_clip_has_a_length_that_servers_take(seconds: float, text: str | None) -> None:
    """Although silence was cut off before, and comes after it: nothing that is said is lost."""
    pause = np.zeros(12_000, np.float32)
    said = np.full(round(seconds * 24_000), 0.25, np.float32)
    clip = prepare([Reference(said if seconds > 1 else np.concatenate([pause, said, pause]), 24_000, text)])
    fields = voice_fields(clip)
    heard, rate = soundfile.read(io.BytesIO(base64.b64decode(fields["ref_audio"].partition(",")[2])))
    assert 1.0 <= heard.size / rate <= 30.0
    spoken = clip.samples[: np.flatnonzero(clip.samples)[-1] + 1]
    np.testing.assert_allclose(heard[: spoken.size], spoken, atol=1 / 32768)
    assert not heard[spoken.size :].any()


def test_a_prompt_with_codes_is_of_no_use_to_a_server() -> None:
    with pytest.raises(NotSupported):
        voice_fields(ClonePrompt(np.ones(1024, np.float32), np.ones((3, 16), np.int64), "Hi."))


@pytest.mark.parametrize(("most", "limit"), [(None, 192), (50, 50), (5000, 192)])
def test_speech_of_a_server_is_limited(most: int | None, limit: int) -> None:
    request = SpeechRequest(RYAN, sampling=Sampling(max_frames=most))
    body = speech_body(request, "Hi.", SMALL, "model", {})
    assert body["max_new_tokens"] == limit


# What comes back

SAMPLES = np.arange(-3000, 3000, 7, dtype="<i2").tobytes()


@pytest.mark.parametrize("size", [1, 2, 3, 999, 10_000])
def test_pcm_cut_anywhere(size: int) -> None:
    reader = PcmReader()
    pieces = [SAMPLES[at : at + size] for at in range(0, len(SAMPLES), size)]
    assert b"".join(pcm.to_int16(chunk) for piece in pieces for chunk in reader.feed(piece)) == SAMPLES
    reader.finish()


DELTA = b'event: speech.audio.delta\r\ndata: {"type":"speech.audio.delta",\r\ndata: "audio":"AQACAA=="}\r\n\r\n'
DONE = b': still here\n\ndata: {"type":"speech.audio.done","usage":{}}\n\ndata: [DONE]\n\n'


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_events_cut_anywhere(size: int) -> None:
    reader, stream = SseReader(), DELTA * 2 + DONE
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    chunks = [chunk for piece in pieces for chunk in reader.feed(piece)]
    assert b"".join(map(pcm.to_int16, chunks)) == b"\1\0\2\0" * 2
    reader.finish()


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        (DELTA, "broke off"),
        (b'data: {"type":"speech.audio.error","error":{"message":"no\\nmore"}}\n\n', "failed: no more"),
        (b'data: {"type":"speech.audio.error"}\n\n', "failed: None"),
        (b'data: {"type":"speech.audio.delta"}\n\n', "without audio"),
        (b'data: {"type":"speech.audio.delta","audio":"?"}\n\n', "without audio"),
        (b"data: nonsense\n\n", "not a JSON object"),
        (b"data: []\n\n", "not a JSON object"),
        (b'data: {"type":"speech.audio.delta","audio":"AQ=="}\n\n' + DONE, "within a sample"),
    ],
)
def test_events_that_are_wrong(stream: bytes, said: str) -> None:
    reader = SseReader()
    with pytest.raises(StreamError, match=said):  # noqa: PT012  whichever of the two finds it
        list(reader.feed(stream))
        reader.finish()


@pytest.mark.parametrize("content_type", ["text/html", "application/json", "audio/wav", "audio/mpeg", ""])
def test_what_is_no_stream_of_pcm(content_type: str) -> None:
    with pytest.raises(StreamError, match="instead of PCM"):
        reader_for(content_type)


@pytest.mark.parametrize(
    ("status", "body", "blame", "error"),
    [
        (400, '{"error":{"message":"Too long"}}', Blame.REQUEST, InvalidRequest),
        (400, '{"error":{"message":"Speech generation failed: x"}}', Blame.BROKEN, EngineFailed),
        (401, '{"error":"Unauthorized"}', Blame.AWAY, BackendUnavailable),
        (404, "<html>", Blame.AWAY, BackendUnavailable),
        (429, "", Blame.BUSY, QueueFull),
        (503, "[]", Blame.BUSY, BackendUnavailable),
        (500, '{"error":{"message":"Qwen3-TTS Base did not emit codec EOS before"}}', Blame.BROKEN, RunawaySpeech),
        (301, "", Blame.BROKEN, EngineFailed),
    ],
)
def test_whose_fault_a_status_is(status: int, body: str, blame: Blame, error: type[SpeechError]) -> None:
    fault = refusal("gpu:8091", status, body)
    assert (fault.blame, type(fault.error)) == (blame, error)
    assert "gpu:8091" in str(fault)


def test_a_servers_own_words_are_bounded() -> None:
    assert len(str(refusal("gpu", 400, "x" * 100_000))) < 400
    assert type(broken("gpu", "failed: it did not emit codec EOS").error) is RunawaySpeech

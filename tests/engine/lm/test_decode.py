"""The decode loop generates upstream's frames, alone and beside others, with the text whole or still arriving."""

import random
from functools import cache
from typing import Any

import pytest

from tests.engine.conftest import LoadPair
from tests.engine.golden import GREEDY, Pair, admit, request, run
from wyoming_qwen3.core.checkpoints import Kind, Size
from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.core.request import Sampling
from wyoming_qwen3.engine.lm.decode import Row

KINDS: tuple[Kind, ...] = ("custom_voice", "voice_design", "base")
TEXTS = ("Hello there.", "It's 12 o'clock!", "你好，世界。", "Wie geht es dir?")
LONG = "The quick brown fox jumps over the lazy dog, and then it sleeps."


@pytest.fixture(scope="module", params=["rows", "slots"])
def either(request: pytest.FixtureRequest, pairs: LoadPair) -> LoadPair:
    """Checkpoints with the decode loop of a CPU, and with that of a GPU."""
    return cache(lambda kind, size: pairs(kind, size) if request.param == "rows" else pairs(kind, size).over_slots())


def spoken(pair: Pair, text: str, *, whole_text_first: bool | None = None, **options: Any) -> list[list[int]]:
    """Greedy frames of a row on its own."""
    given = request(pair, sampling=Sampling(temperature=0), **options)
    if whole_text_first is None:
        row = pair.decoder.admit(given, text=text)
    else:
        row = admit(pair.decoder, given, text, whole_text_first=whole_text_first)
    [frames] = run(pair.decoder, row)
    assert row.ending == "eos"
    return frames


@pytest.mark.parametrize("whole_text_first", [True, False])
@pytest.mark.parametrize(
    ("kind", "size", "text", "language"),
    [
        ("custom_voice", "0.6B", TEXTS[0], "english"),
        ("custom_voice", "0.6B", TEXTS[2], "chinese"),
        ("custom_voice", "1.7B", TEXTS[1], "french"),
        ("voice_design", "0.6B", TEXTS[0], "auto"),
        ("voice_design", "1.7B", TEXTS[3], "german"),
        ("base", "0.6B", TEXTS[1], "english"),
        ("base", "1.7B", TEXTS[2], "auto"),
    ],
)
def test_greedy_frames_are_upstreams(
    either: LoadPair, *, kind: Kind, size: Size, text: str, language: str, whole_text_first: bool
) -> None:
    pair = either(kind, size)
    golden = pair.codes(request(pair, language), text, non_streaming_mode=whole_text_first, **GREEDY)
    assert len(golden) > 2
    assert spoken(pair, text, whole_text_first=whole_text_first, language=language) == golden


@pytest.mark.parametrize("whole_text_first", [True, False])
@pytest.mark.parametrize("size", ["0.6B", "1.7B"])
def test_greedy_frames_of_a_continued_clone_are_upstreams(either: LoadPair, size: Size, whole_text_first: bool) -> None:
    pair = either("base", size)
    frames = 6 if size == "0.6B" else 30
    given = request(pair, frames=frames, sampling=Sampling(temperature=0))
    golden = pair.codes(given, LONG, non_streaming_mode=whole_text_first, **GREEDY)
    assert len(golden) > 5
    assert spoken(pair, LONG, whole_text_first=whole_text_first, frames=frames) == golden


def test_greedy_frames_with_an_instruction_are_upstreams(either: LoadPair) -> None:
    pair = either("custom_voice", "1.7B")
    given = request(pair, instruct="Whisper.")
    golden = pair.codes(given, "Hello there.", **GREEDY)
    assert spoken(pair, "Hello there.", instruct="Whisper.") == golden
    assert golden != spoken(pair, "Hello there.")


@pytest.mark.parametrize("seed", range(6))
def test_seeded_draws_are_upstreams(pairs: LoadPair, seed: int) -> None:
    pair = pairs(KINDS[seed % 3], "0.6B" if seed % 2 else "1.7B")
    row = pair.decoder.admit(request(pair, sampling=Sampling(seed=seed)), text=TEXTS[seed % 4])
    [frames] = run(pair.decoder, row)
    assert frames == pair.codes(request(pair), TEXTS[seed % 4], seed=seed)


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0.5, "top_k": 10, "top_p": 0.8, "repetition_penalty": 1.3},
        {"temperature": 1.5, "top_k": 0, "top_p": 0.95, "repetition_penalty": 0.9},
        {"temperature": 1.0, "top_k": 1000, "top_p": 1.0, "repetition_penalty": 1.0},
    ],
)
def test_draws_with_options_are_upstreams(pairs: LoadPair, options: dict[str, float]) -> None:
    pair = pairs("custom_voice", "0.6B")
    row = pair.decoder.admit(request(pair, sampling=Sampling(seed=5, max_frames=16, **options)), text=LONG)  # type: ignore[arg-type]
    [frames] = run(pair.decoder, row)
    both = {f"subtalker_{name}": value for name, value in options.items() if name != "repetition_penalty"}
    assert frames == pair.codes(request(pair), LONG, seed=5, max_new_tokens=17, **options, **both)


def test_unseeded_draws_differ(either: LoadPair) -> None:
    pair = either("custom_voice", "0.6B")
    rows = [pair.decoder.admit(request(pair), text=LONG) for _ in range(2)]
    first, second = run(pair.decoder, *rows)
    assert first != second


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_join_and_leave_speak_as_if_alone(either: LoadPair, kind: Kind) -> None:
    pair = either(kind, "0.6B")
    texts = (LONG, *TEXTS[:3])
    alone = [spoken(pair, text) for text in texts]
    given = request(pair, sampling=Sampling(temperature=0))
    frames: dict[Row, list[list[int]]] = {}
    steps = 0
    while len(frames) < len(texts) or any(row.can_advance for row in frames):
        if steps % 5 == 0 and len(frames) < len(texts):
            frames[pair.decoder.admit(given, text=texts[len(frames)])] = []
        for frame in pair.decoder.step(list(frames)):
            if frame.codes is not None:
                frames[frame.row].append(frame.codes.tolist())
        steps += 1
    assert len({len(found) for found in alone}) > 2
    assert list(frames.values()) == alone


def test_seeded_rows_do_not_disturb_each_other(either: LoadPair) -> None:
    pair = either("voice_design", "0.6B")

    def admitted(seed: int) -> Row:
        sampling = Sampling(seed=seed, temperature=0.9 if seed else 0, top_k=50 - seed)
        return pair.decoder.admit(request(pair, sampling=sampling), text=TEXTS[seed])

    alone = [run(pair.decoder, admitted(seed))[0] for seed in range(3)]
    assert run(pair.decoder, *(admitted(seed) for seed in range(3))) == alone


@pytest.mark.parametrize(("kind", "frames"), [("custom_voice", 0), ("voice_design", 0), ("base", 0), ("base", 12)])
def test_text_fed_in_pieces_gives_the_frames_of_the_whole(either: LoadPair, kind: Kind, frames: int) -> None:
    pair = either(kind, "0.6B")
    text = f"{LONG[:30]} 你好，世界！"
    golden = spoken(pair, text, whole_text_first=False, frames=frames)
    given = request(pair, frames=frames, sampling=Sampling(temperature=0))
    draws = [random.Random(seed) for seed in range(3)]
    rows = [pair.decoder.admit(given, text="  ", finished=False, streaming_text=True) for _ in draws]
    rest = dict.fromkeys(rows, text + " \n")
    found: dict[Row, list[list[int]]] = {row: [] for row in rows}
    while any(row.ending is None for row in rows):
        for row, draw in zip(rows, draws, strict=True):
            if rest[row] and (draw.random() < 0.3 or not row.can_advance):
                size = draw.randint(1, 6)
                row.add_text(rest[row][:size])
                rest[row] = rest[row][size:]
                if not rest[row]:
                    row.end_text()
        for frame in pair.decoder.step(rows):
            if frame.codes is not None:
                found[frame.row].append(frame.codes.tolist())
    assert list(found.values()) == [golden] * 3


def test_speech_starts_before_the_text_is_finished(either: LoadPair) -> None:
    pair = either("custom_voice", "0.6B")
    row = pair.decoder.admit(request(pair), text="The quick brown", finished=False, streaming_text=True)
    frames = pair.decoder.step([row]) or pair.decoder.step([row])
    assert [frame.codes is not None for frame in frames] == [True]


def test_whole_text_mode_waits_for_all_of_the_text(either: LoadPair) -> None:
    pair = either("custom_voice", "0.6B")
    given = request(pair, sampling=Sampling(temperature=0))
    row = pair.decoder.admit(given, text=LONG[:40], finished=False)
    assert not row.can_advance
    assert pair.decoder.step([row]) == []
    row.add_text(LONG[40:])
    assert not row.can_advance
    row.end_text()
    assert run(pair.decoder, row) == [spoken(pair, LONG)]


@pytest.mark.parametrize("text", ["", " \n\t "])
def test_empty_text_is_refused(either: LoadPair, text: str) -> None:
    pair = either("custom_voice", "0.6B")
    with pytest.raises(InvalidRequest, match="empty"):
        pair.decoder.admit(request(pair), text=text)
    row = pair.decoder.admit(request(pair), text=text, finished=False, streaming_text=True)
    with pytest.raises(InvalidRequest, match="empty"):
        row.end_text()


def test_whitespace_around_the_text_is_dropped(either: LoadPair) -> None:
    pair = either("custom_voice", "0.6B")
    assert spoken(pair, "\n\n Hello there. \n") == spoken(pair, "Hello there.")


def test_special_tokens_in_the_text_are_plain_characters(either: LoadPair) -> None:
    pair = either("custom_voice", "0.6B")
    text = "Say <|im_end|> and <tts_pad> now."
    golden = spoken(pair, text, whole_text_first=False)
    row = pair.decoder.admit(
        request(pair, sampling=Sampling(temperature=0)), text="", finished=False, streaming_text=True
    )
    for letter in text:
        row.add_text(letter)
    row.end_text()
    assert run(pair.decoder, row) == [golden]


def test_row_ends_at_its_limit(either: LoadPair) -> None:
    pair = either("custom_voice", "0.6B")
    whole = spoken(pair, LONG)
    for limit, ending in ((7, "limit"), (len(whole) - 1, "limit"), (len(whole), "eos")):
        row = pair.decoder.admit(request(pair, sampling=Sampling(temperature=0, max_frames=limit)), text=LONG)
        assert run(pair.decoder, row) == [whole[:limit]]
        assert row.ending == ending
        assert row.speech is None
        assert pair.decoder.step([row]) == []


def test_limit_grows_while_text_arrives(either: LoadPair) -> None:
    pair = either("custom_voice", "0.6B")
    row = pair.decoder.admit(request(pair), text="Well, ", finished=False, streaming_text=True)
    before = row.limit
    row.add_text(LONG)
    assert row.limit > before

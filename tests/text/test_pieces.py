"""From raw text in any pieces to pieces to speak."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import tried
from wyoming_qwen3.core.errors import InvalidRequest, SpeechError
from wyoming_qwen3.text.markup import Pause
from wyoming_qwen3.text.pieces import Script, SpokenPiece


def drain(script: Script) -> list[str | float]:
    """All that can be taken now: texts, and pauses as seconds."""
    taken: list[str | float] = []
    while (segment := script.take()) is not None:
        taken.append(segment.text if isinstance(segment, SpokenPiece) else segment.seconds)
    return taken


def speak(*pieces: str, ssml: bool = False, max_chars: int = 300) -> list[str | float]:
    """What is taken when all text is known."""
    script = Script(ssml=ssml, max_chars=max_chars)
    for piece in pieces:
        script.add_text(piece)
    script.end_text()
    taken = drain(script)
    assert script.done
    return taken


def test_whole_sentences_are_grouped_up_to_the_limit() -> None:
    text = "One is here. Two is there. Three is gone. Four."
    assert speak(text) == [text]
    assert speak(text, max_chars=30) == ["One is here. Two is there.", "Three is gone. Four."]


def test_a_known_text_is_not_cut_at_a_clause() -> None:
    assert speak("Good morning everyone, how are you?") == ["Good morning everyone, how are you?"]


def test_a_long_sentence_is_cut_at_clauses_then_spaces() -> None:
    assert speak("The first part is here, the second part goes on and on", max_chars=30) == [
        "The first part is here,",
        "the second part goes on and on",
    ]
    assert speak("word " * 20, max_chars=24) == ["word word word word word"[:24]] * 4


def test_the_first_piece_is_a_clause_while_text_still_comes() -> None:
    script = Script()
    script.add_text("Good morning everyone")
    assert script.take() is None
    script.add_text(", the lights are")
    assert script.take() == SpokenPiece("Good morning everyone,")
    script.add_text(" on, and the doors are closed, too")
    assert script.take() is None
    script.add_text(". Good")
    script.add_text("bye now. And")
    script.add_text(" so")
    assert script.take() == SpokenPiece("the lights are on, and the doors are closed, too. Goodbye now.")
    script.end_text()
    assert script.take() == SpokenPiece("And so")
    assert script.done


def test_the_first_piece_is_whole_sentences_where_there_are() -> None:
    script = Script()
    script.add_text("Yes. I have turned the lights on, and now")
    assert drain(script) == ["Yes."]


def test_a_long_sentence_is_not_waited_for() -> None:
    script = Script(max_chars=40)
    for _ in range(30):
        script.add_text("word ")
    assert drain(script) == ["word word word word word word word word"] * 3


@pytest.mark.parametrize(
    ("before", "after", "pieces"),
    [
        ("I'll turn on the lights", "The lights are on.", ["I'll turn on the lights.", "The lights are on."]),
        ("Yes. I check, and then the", " rest", ["Yes.", "I check, and then the.", "rest."]),
        ("Let me check,", "It is sunny.", ["Let me check,", "It is sunny."]),
        ("我来打开灯", "灯已打开。", ["我来打开灯。", "灯已打开。"]),
        ("電気をつけます。", "つけました", ["電気をつけます。", "つけました。"]),
        ("불을 켤게요", "불을 켰습니다.", ["불을 켤게요.", "불을 켰습니다."]),
        ("Сейчас включу свет", "Готово", ["Сейчас включу свет.", "Готово."]),
        ("# Lights", "They are on", ["Lights.", "They are on"]),
        ("- Milk", "- Eggs", ["Milk.", "Eggs."]),
        ("Pi is 3.", "14", ["Pi is 3.", "14."]),
        ("It is **done", "Really", ["It is done.", "Really."]),
        ("Run this:\n```sh\nrm", " -r x\n```\nDone.", ["Run this:", "Done."]),
        ("See [the", " docs](https://x.y/z) now", ["See.", "the docs now"]),
        ("Wait <bre", "ak time='1s'/>now", ["Wait.", 1.0, "now."]),
    ],
)
def test_a_pause_in_the_text_ends_a_sentence_and_what_follows_begins_anew(
    before: str, after: str, pieces: list[str | float]
) -> None:
    script = Script()
    script.add_text(before)
    taken = drain(script)
    assert script.unflushed
    script.flush()
    taken += drain(script)
    assert not script.unflushed
    script.add_text(after)
    script.end_text()
    taken += drain(script)
    assert taken == pieces


def test_flush_of_nothing_speakable_says_nothing() -> None:
    script = Script()
    script.add_text("*** 😀 ...")
    script.flush()
    assert script.take() is None
    assert not script.unflushed


def test_text_before_a_pause_can_be_spoken_at_once() -> None:
    script = Script()
    script.add_text("Wait for it [pause:1")
    assert script.take() is None
    script.add_text("s] now")
    assert drain(script) == ["Wait for it", 1.0]


def test_pauses_part_the_text() -> None:
    assert speak("One. [pause:0.5s] Two <break time='2s'/>[pause:300ms] **three** [pause:99s]") == [
        "One.", 0.5, "Two.", 2.0, 0.3, "three.", 10.0,
    ]  # fmt: skip


def test_a_direction_after_a_pause_is_not_spoken() -> None:
    assert speak("Good night. [pause:1s] *turns off the light*") == ["Good night.", 1.0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1", "1."),
        ("1次", "1次。"),
        ("はい", "はい。"),
        ("**Ja**", "Ja."),
        ("Yes!", "Yes!"),
        ("21:30", "21:30"),
        ("Front door", "Front door"),
    ],
)
def test_a_single_word_gets_an_end(text: str, said: str) -> None:
    assert speak(text) == [said]


def test_ssml_is_interpreted_and_markdown_in_it_is_not() -> None:
    text = """<speak>\n<p>Hello <emphasis>you</emphasis>\n\nall</p><s>Two &amp; *three*</s>
        <break time="1s"/> 😀 <sub alias="doctor">dr</sub> no</speak>"""
    assert speak(text, ssml=True) == ["Hello you all. Two & *three*.", 1.0, "doctor no"]


def test_blocks_are_sentences() -> None:
    text = "# Lights\nThese are on:\n- **Kitchen**\n- Hall\n\n```py\nx\n```\nThat is *all* 😀"
    assert speak(text, max_chars=16) == ["Lights.", "These are on:", "Kitchen. Hall.", "That is all"]


@pytest.mark.parametrize("text", ["", " ", "😀", "...", "***", "\x00", "\ud83d", "```\ncode", "[](http://a.b)"])
@pytest.mark.parametrize("ssml", [False, True])
def test_nothing_to_say_is_done_at_once(text: str, ssml: bool) -> None:
    script = Script(ssml=ssml)
    script.add_text(text if not ssml else text.replace("code", "").replace("http://a.b", ""))
    script.end_text()
    assert script.done
    assert script.take() is None


@pytest.mark.parametrize("letter", ["a", "我", "ك", "가", "1"])
def test_a_text_without_spaces_is_cut_into_pieces(letter: str) -> None:
    pieces = speak(letter * 20_000)
    assert all(isinstance(piece, str) and len(piece) <= 300 for piece in pieces)
    assert "".join(map(str, pieces)) == letter * 20_000


def test_feeding_after_the_end_is_refused() -> None:
    script = Script()
    script.end_text()
    script.end_text()
    with pytest.raises(SpeechError, match="finished"):
        script.add_text("more")


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="at least 1"):
        Script(max_chars=0)


FRAGMENTS = st.sampled_from(
    [
        *("hello", "World", "Dr.", "3.14", "10,000", "z.B.", "light.kitchen_lamp", "你好", "「いい」", "كيف"),
        *("**bold", "**more", "code`", "`x`", "[a](http://b.c/d)", "https://e.io/f", "~~no~~", "*laughs*", "(sighs)"),
        *("[pause:1s]", "<break/>", "<b>", "<s>", "&", "&amp;", "# ", "- ", "```", "|", "😀", "\ud83d", "\x00"),
        *("<think>", "</think>", "[THINK]", "<tool_call>", "</tool_call>", "<|im_end|>", "<|channel|>final<|message|>"),
        *("\n{", '"name": "x", ', '"arguments":', "}", "\n```\n"),
        *(";", ",", ":", "!", "?", ".", "…", "—", "。", "，", "؟", "\n", "\n\n", " ", " ", " ", " ", " "),
    ]
)
TEXT = st.lists(FRAGMENTS, max_size=40).map("".join)


@tried(200)
@given(TEXT, st.integers(1, 9), st.sampled_from([1, 7, 40, 300]), st.booleans())
def test_a_known_text_gives_the_same_pieces_however_it_was_split(text: str, size: int, limit: int, ssml: bool) -> None:
    whole = speak(text, ssml=ssml, max_chars=limit)
    assert speak(*(text[i : i + size] for i in range(0, len(text), size)), ssml=ssml, max_chars=limit) == whole


@tried(200)
@given(
    TEXT,
    st.integers(1, 9),
    st.sampled_from([7, 40]),
    st.lists(st.sampled_from(["take", "flush", ""]), min_size=1),
    st.booleans(),
)
def test_pieces_fit_and_speak_what_a_known_text_speaks(
    text: str, size: int, limit: int, actions: list[str], ssml: bool
) -> None:
    """Whenever pieces are taken, they are the same letters in the same order."""
    script = Script(ssml=ssml, max_chars=limit)
    taken: list[str | float] = []
    for number, start in enumerate(range(0, len(text), size)):
        script.add_text(text[start : start + size])
        if actions[number % len(actions)] == "take":
            taken += drain(script)
    script.end_text()
    taken += drain(script)
    assert script.done
    pieces = [piece for piece in taken if isinstance(piece, str)]
    assert all(0 < len(piece) <= limit and any(map(str.isalnum, piece)) for piece in pieces)
    assert _letters(taken) == _letters(speak(text, ssml=ssml))


@tried(150)
@given(
    st.lists(
        st.sampled_from(["hello", "World", "3.5", "Dr.", ",", ".", "!", "你好", "。", "，", " ", " ", "\n\n"]),
        max_size=40,
    ).map("".join),
    st.integers(1, 5),
)
def test_flushing_at_any_time_loses_and_repeats_nothing(text: str, size: int) -> None:
    script = Script()
    taken: list[str | float] = []
    for start in range(0, len(text), size):
        script.add_text(text[start : start + size])
        taken += drain(script)
        script.flush()
        taken += drain(script)
    script.end_text()
    taken += drain(script)
    assert _letters(taken) == [c for c in text if c.isalnum()]


def _letters(taken: list[str | float]) -> list[str]:
    return [c for piece in taken if isinstance(piece, str) for c in piece if c.isalnum()]


def test_a_pause_is_a_segment() -> None:
    script = Script()
    script.add_text("[pause:2s]")
    assert script.take() == Pause(2.0)

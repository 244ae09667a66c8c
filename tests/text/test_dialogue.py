"""Scripts become turns, and whatever else somebody writes is refused with the line that is at fault."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import tried
from tests.text.heard import PAUSES, heard
from wyoming_qwen3.core.errors import InvalidRequest, TooLarge
from wyoming_qwen3.text.dialogue import MAX_TURNS, Turn, check_speaker, read_script
from wyoming_qwen3.text.markup import MAX_PAUSE, Pause

SCRIPTS = {
    "two speakers": ("[Ann] Hi.\n[Bob] Hello.", [Turn("Ann", "Hi."), Turn("Bob", "Hello.")]),
    "same speaker twice": ("[Ann] Hi.\n[Ann] Ho.", [Turn("Ann", "Hi."), Turn("Ann", "Ho.")]),
    "goes on": ("[Ann] One\ntwo\n  three \n", [Turn("Ann", "One\ntwo\nthree")]),
    "begins below": ("[Ann]\n\nOne\n[Bob]\nTwo", [Turn("Ann", "One"), Turn("Bob", "Two")]),
    "paragraphs": ("[Ann] One\n\n \n\nTwo\n\n[Bob] Three", [Turn("Ann", "One\n\nTwo"), Turn("Bob", "Three")]),
    "comments": ("# a\n// b\n[Ann] One\n # c\ntwo\n//d\n[Bob] x", [Turn("Ann", "One\ntwo"), Turn("Bob", "x")]),
    "no comments": ("[Ann] # 1 // 2\nat #3 http://x", [Turn("Ann", "# 1 // 2\nat #3 http://x")]),
    "no paragraph for a comment": ("[Ann] One\n# x\ntwo", [Turn("Ann", "One\ntwo")]),
    "Windows": ("\ufeff[Ann] One\r\ntwo\r\n\r\n[Bob] x\r\n", [Turn("Ann", "One\ntwo"), Turn("Bob", "x")]),
    "old Macs": ("[Ann] One\r[Bob] x", [Turn("Ann", "One"), Turn("Bob", "x")]),
    "indented": ("  [Ann]   One\n\t[ Bob ]two", [Turn("Ann", "One"), Turn("Bob", "two")]),
    "brackets of a Chinese keyboard": (
        "【小明】你好。\n［Ann］ Hi.\n【Bob] Ho.",
        [Turn("小明", "你好。"), Turn("Ann", "Hi."), Turn("Bob", "Ho.")],
    ),
    "brackets within a line": ("[Ann] One [two] 【three】\n([four])", [Turn("Ann", "One [two] 【three】\n([four])")]),
    "blanks in a name": ("[Ann\u3000 B.\tC] x", [Turn("Ann B. C", "x")]),
    "longest name": (f"[{'x' * 64}] y", [Turn("x" * 64, "y")]),
    "pause in the text": ("[Ann] One [pause:1s] two [pause:2s]", [Turn("Ann", "One [pause:1s] two [pause:2s]")]),
    "pause on a line within a turn": ("[Ann] One\n[pause:1s]\ntwo", [Turn("Ann", "One\n[pause:1s]\ntwo")]),
    "pause before a line's text": ("[Ann] One\n[pause 1s] two", [Turn("Ann", "One\n[pause 1s] two")]),
    "pause between turns": ("[Ann] One\n[pause:500ms]\n[Bob] x", [Turn("Ann", "One", 0.5), Turn("Bob", "x")]),
    "no pause between turns": ("[Ann] One\n[pause:0s]\n[Bob] x", [Turn("Ann", "One", 0.0), Turn("Bob", "x")]),
    "pause and speaker on a line": ("[Ann] One\n[pause 1s] [Bob] x", [Turn("Ann", "One", 1.0), Turn("Bob", "x")]),
    "pauses add up": (
        "[Ann] One\n\n[pause 1s] [pause:0,5s]\n\n# x\n[PAUSE=250ms]\n[Bob] x",
        [Turn("Ann", "One", 1.75), Turn("Bob", "x")],
    ),
    "up to the longest": ("[Ann] One\n[pause 9s]\n[pause 9s]\n", [Turn("Ann", "One", MAX_PAUSE)]),
    "silent turn": ("[Ann] [pause:1s]\n[Bob] x", [Turn("Ann", "[pause:1s]"), Turn("Bob", "x")]),
    "pauses without a unit": ("[Ann] One\n[pause:500] [pause]\n[Bob] x", [Turn("Ann", "One", 1.0), Turn("Bob", "x")]),
    "directions": (
        "[Ann] [sad] One\n[style: tired] two\n[Sad] x",
        [Turn("Ann", "[sad] One\n[style: tired] two"), Turn("Sad", "x")],
    ),
}


@pytest.mark.parametrize(("script", "turns"), SCRIPTS.values(), ids=SCRIPTS)
def test_reads_turns(script: str, turns: list[Turn]) -> None:
    assert list(read_script(script)) == turns


REFUSED = {
    "nothing": ("", "no turns"),
    "comments alone": ("# x\n\n// y", "no turns"),
    "text first": ("\nHi.\n[Ann] x", "Line 2: There is something before the first speaker"),
    "pause first": ("# x\n[pause:1s]\n[Ann] x", "Line 2: There is something before the first speaker"),
    "pause and speaker first": ("[pause:1s] [Ann] x", "Line 1: There is something before the first speaker"),
    "silent speaker": ("[Ann]\n\n[Bob] x", "Line 1: Ann says nothing"),
    "silent last speaker": ("[Ann] x\r\n[Bob]\r\n# y\r\n", "Line 2: Bob says nothing"),
    "nothing but a pause below": ("[Ann] x\n[Bob]\n[pause:1s]", "Line 2: Bob says nothing"),
    "bracket open": ("[Ann] x\n[Bob y\n]", "Line 2: A bracket is not closed"),
    "bracket open first": ("[Ann", "Line 1: A bracket is not closed"),
    "no name": ("[Ann] x\n[] y", "Line 2: A speaker's name is empty"),
    "blank name": ("[Ann] x\n\n【\u3000】 y", "Line 3: A speaker's name is empty"),
    "long name": (f"[{'x' * 65}] y", "Line 1: A speaker's name has at most 64 characters, but this one has 65"),
    "escape in a name": ("[Ann\x1b[2J] x", "Line 1: A speaker's name has control characters"),
    "half a character": ("[\ud800] x", "Line 1: A speaker's name has control characters"),
}


@pytest.mark.parametrize(("script", "message"), REFUSED.values(), ids=REFUSED)
def test_refuses_what_is_no_script_and_says_where(script: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message) as caught:
        read_script(script)
    assert (caught.value.code, caught.value.param) == ("invalid_request", "script")


def test_too_many_turns_are_too_large() -> None:
    assert len(read_script("[Ann] x\n" * MAX_TURNS)) == MAX_TURNS
    with pytest.raises(TooLarge, match=f"Line {MAX_TURNS + 1}: A script has at most {MAX_TURNS} turns"):
        read_script("[Ann] x\n" * (MAX_TURNS + 1))


@pytest.mark.parametrize("written", [written for written, _ in PAUSES.values() if written.startswith("[")])
def test_what_is_a_pause_elsewhere_is_one_between_turns(written: str) -> None:
    """And what is none there is none here, but a speaker without text, or what a speaker says."""
    items = heard(written)
    script = f"[Ann] One\n{written}\n[Bob] x"
    if all(isinstance(item, Pause) for item in items):
        seconds = sum(item.seconds for item in items if isinstance(item, Pause))
        assert read_script(script)[0] == Turn("Ann", "One", min(seconds, MAX_PAUSE))
    else:
        assert read_script(script)[1].speaker == "pause:abc"


FRAGMENTS = st.sampled_from(
    [
        *("[", "]", "【", "】", "［", "］", "[Ann]", "[Ann] x", "[pause:1s]", "[pause", "1s]", "[pause:0s]", "#", "//"),
        *("\n", "\r\n", "\r", "\n\n", " ", "\t", "\u3000", "\u2028", "\x85", "\ufeff", "\x00", "\ud800", "x", "你"),
        *("<break/>", "[]", "[ ]", "y" * 65),
    ]
)


@tried(500)
@given(st.lists(FRAGMENTS, max_size=25).map("".join) | st.text())
def test_any_text_is_read_or_refused(script: str) -> None:
    try:
        turns = read_script(script)
    except InvalidRequest:
        return
    assert 0 < len(turns) <= MAX_TURNS
    for turn in turns:
        assert check_speaker(turn.speaker) == turn.speaker
        assert turn.text == turn.text.strip() != ""
        assert turn.pause_after is None or 0 <= turn.pause_after <= MAX_PAUSE


NAMES = (
    st.text(min_size=1, max_size=10)
    .map(lambda name: " ".join(name.split()))
    .filter(
        lambda name: name and not set(name) & set("]】］") and name == _checked(name) and not name.startswith("pause")
    )
)
WORDS = st.text(st.characters(exclude_categories=["Cc", "Cs", "Z"]), min_size=1, max_size=10)
TEXTS = st.lists(
    st.lists(WORDS.filter(lambda word: word[0] not in "[【［#/"), min_size=1, max_size=3), min_size=1, max_size=3
)
TURNS = st.builds(
    Turn,
    NAMES,
    TEXTS.map(lambda paragraphs: "\n\n".join("\n".join(lines) for lines in paragraphs)),
    st.none() | st.integers(0, 10_000).map(lambda milliseconds: milliseconds / 1000),
)


def _checked(name: str) -> str | None:
    try:
        return check_speaker(name)
    except InvalidRequest:
        return None


@tried(200)
@given(st.lists(TURNS, min_size=1, max_size=5), st.sampled_from(["\n", "\r\n", "\r"]))
def test_what_is_written_down_is_read_back(turns: list[Turn], end: str) -> None:
    lines = []
    for turn in turns:
        lines.append(f"[{turn.speaker}] {turn.text}")
        if turn.pause_after is not None:
            lines.append(f"[pause:{round(turn.pause_after * 1000)}ms]")
    assert read_script("\n".join(lines).replace("\n", end)) == tuple(turns)

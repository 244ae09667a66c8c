"""Marks in plain text pause and direct the voice, in whatever pieces they arrive; all else in brackets is text."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import tried
from tests.text.heard import PAUSES, Heard, heard, styled
from wyoming_qwen3.text.delivery import DEFAULT_DELIVERY, Delivery
from wyoming_qwen3.text.live import LiveScript
from wyoming_qwen3.text.markup import Pause
from wyoming_qwen3.text.pieces import Script, Segment, SpokenPiece
from wyoming_qwen3.text.text_reader import TextReader

SAD = styled("in a sad voice")

CASES: dict[str, tuple[str, Heard]] = {
    **PAUSES,
    "style": (
        "One. [style: whispering] Two. [style] Three.",
        ["One.", styled("whispering"), "Two.", DEFAULT_DELIVERY, "Three."],
    ),
    "style until the next": ("[style: a b] One. [style: c] Two.", [styled("a b"), "One.", styled("c"), "Two."]),
    "other names for a style": (
        "[tone: warm] One. [Emotion = sad] Two. [mood：x] Three.",
        [styled("warm"), "One.", styled("sad"), "Two.", styled("x"), "Three."],
    ),
    "voice": ("[voice: Serena] One. [voice] Two.", [Delivery(voice="Serena"), "One.", DEFAULT_DELIVERY, "Two."]),
    "voices": (
        "[voice: serena] Dinner is ready. [voice: ryan] [style: tired] I am not hungry.",
        [
            Delivery(voice="serena"),
            "Dinner is ready.",
            Delivery(voice="ryan", style="tired"),
            "I am not hungry.",
        ],
    ),
    "default voice": (
        "[voice: Uncle Fu] One. [voice: default] Two.",
        [Delivery(voice="Uncle Fu"), "One.", DEFAULT_DELIVERY, "Two."],
    ),
    "language": (
        "[language: de] Eins. [lang: pt-BR] Um. [language] One.",
        [Delivery(language="de"), "Eins.", Delivery(language="pt-BR"), "Um.", DEFAULT_DELIVERY, "One."],
    ),
    "speed": (
        "[speed: 0.9] One. [speed: 120%] Two. [speed: slow] Three. [speed: 99] Four. [speed] Five.",
        [
            Delivery(speed=0.9),
            "One.",
            Delivery(speed=1.2),
            "Two.",
            Delivery(speed=0.75),
            "Three.",
            Delivery(speed=4.0),
            "Four.",
            DEFAULT_DELIVERY,
            "Five.",
        ],
    ),
    "slower than the slowest": ("[speed: 0] One.", [Delivery(speed=0.25), "One."]),
    "volume": (
        "[volume: +6dB] One. [volume: soft] Two. [volume: silent] Three. [/volume] Four.",
        [
            Delivery(gain=6.0),
            "One.",
            Delivery(gain=-6.0),
            "Two.",
            Delivery(gain=-40.0),
            "Three.",
            DEFAULT_DELIVERY,
            "Four.",
        ],
    ),
    "values that are none": (
        "[speed: banana] [volume: much] [style: ] [language: ???] One.",
        ["[speed: banana] [volume: much] [style: ] [language: ???] One."],
    ),
    "directions add up": (
        "[voice: a] [speed: 2] [style: b] One. [voice] Two.",
        [Delivery(voice="a", speed=2.0, style="b"), "One.", Delivery(speed=2.0, style="b"), "Two."],
    ),
    "the same again": ("[sad] One. [sad] Two.", [SAD, "One. Two."]),
    "nothing between": ("One. [style: a][style: b] [style] Two.", ["One. Two."]),
    # Words alone
    "a word": (
        "[excited] One. Two.\n\nThree. [style] Four.",
        [styled("in an excited voice"), "One. Two.\n\nThree.", DEFAULT_DELIVERY, "Four."],
    ),
    "capitals": ("[SAD] One. [Whispers] Two.", [SAD, "One.", styled("whispering"), "Two."]),
    "adverbs": (
        "[sadly] One. [happily] Two. [gently] Three. [angrily] Four.",
        [
            SAD,
            "One.",
            styled("in a happy voice"),
            "Two.",
            styled("in a gentle voice"),
            "Three.",
            styled("in an angry voice"),
            "Four.",
        ],
    ),
    "phrases": (
        "[in a sad voice] One. [speaking softly] Two. [very calm tone] Three. [with excitement] Four.",
        [
            SAD,
            "One.",
            styled("in a soft voice"),
            "Two.",
            styled("in a very calm voice"),
            "Three.",
            styled("in an excited voice"),
            "Four.",
        ],
    ),
    "degrees": (
        "[a bit sad] One. [a little sadly] Two. [dramatically] Three.",
        [styled("in a slightly sad voice"), "One. Two.", styled("in a dramatic voice"), "Three."],
    ),
    "several words": (
        "[sad, whispering] One. [happy and excited] Two.",
        [styled("in a sad voice, whispering"), "One.", styled("in a happy voice, in an excited voice"), "Two."],
    ),
    "words in a row": (
        "[sad][whispers] One. [happy] Two.",
        [styled("in a sad voice, whispering"), "One.", styled("in a happy voice"), "Two."],
    ),
    "the same word twice": ("[sad][sad] One.", [SAD, "One."]),
    "words that need a voice": (
        "[low voice] One. [low] [high] [dark]",
        [styled("in a low voice"), "One. [low] [high] [dark]"],
    ),
    "closed": (
        "[sad]One.[/sad] Two. [style: x] Three. [/style] Four.",
        [SAD, "One.", DEFAULT_DELIVERY, "Two.", styled("x"), "Three.", DEFAULT_DELIVERY, "Four."],
    ),
    "bold": (
        "**[excited]** One. *[sad]* Two. __[style: x]__ Three.",
        [styled("in an excited voice"), "One.", SAD, "Two.", styled("x"), "Three."],
    ),
    "in bold text": ("**[sad] One** two *[excited] three*", [SAD, "One two", styled("in an excited voice"), "three"]),
    "wide brackets": ("【悲伤】很难过。【style: x】One.", [SAD, "很难过。", styled("x"), "One."]),
    # Sounds
    "a sound": ("[laughs] That is funny. It is.", [styled("laughing"), "That is funny.", DEFAULT_DELIVERY, "It is."]),
    "a sound with an adverb": (
        "[laughs softly] One. [nervously chuckling] Two.",
        [styled("laughing softly"), "One.", styled("chuckling nervously"), "Two."],
    ),
    "a sound in a mood": (
        "[sad] One. [sighs] Two. Three.",
        [SAD, "One.", styled("in a sad voice, sighing"), "Two.", SAD, "Three."],
    ),
    "a mood after a sound": ("[sighs][sad] One. Two.", [styled("in a sad voice, sighing"), "One.", SAD, "Two."]),
    "a sound within a sentence": (
        "Well [sighs], I see. Ok.",
        ["Well,", styled("sighing"), "I see.", DEFAULT_DELIVERY, "Ok."],
    ),
    "a sound at the end": ("That is funny. [laughs]", ["That is funny."]),
    "a sentence with an abbreviation": (
        "[sighs] Dr. Who came at 3.15 p.m. today. Ok.",
        [styled("sighing"), "Dr. Who came at 3.15 p.m. today.", DEFAULT_DELIVERY, "Ok."],
    ),
    "a sound before dots": ("[sighs] ... I see. Ok.", [styled("sighing"), "... I see.", DEFAULT_DELIVERY, "Ok."]),
    "a sound before a pause": (
        "[sighs] [pause:1s] One. Two.",
        [Pause(1.0), styled("sighing"), "One.", DEFAULT_DELIVERY, "Two."],
    ),
    "a pause ends the sentence": (
        "[sighs] One [pause:1s] two.",
        [styled("sighing"), "One", Pause(1.0), DEFAULT_DELIVERY, "two."],
    ),
    "a line ends the sentence": (
        "[sighs] Front door\nKitchen",
        [styled("sighing"), "Front door.", DEFAULT_DELIVERY, "Kitchen."],
    ),
    "sounds as tags": (
        "<laugh> One. Two <chuckle/> three.",
        [styled("laughing"), "One.", DEFAULT_DELIVERY, "Two", styled("chuckling"), "three."],
    ),
    # Where a mark stands
    "start of an item": ("- [sad] One\n- [happy] Two", [SAD, "One.", styled("in a happy voice"), "Two."]),
    "before an item": ("[sad] - One\n- Two", [SAD, "One.\n\nTwo."]),
    "end of an item": ("- One [sad]\n- Two", ["One.", SAD, "Two."]),
    "before a number": ("Am [sad] 3. Mai.", ["Am", SAD, "3. Mai."]),
    "before a dash": ("Well [happy] - no.", ["Well", styled("in a happy voice"), "- no."]),
    "heading": ("# [sad] Title\ntext", [SAD, "Title.\n\ntext"]),
    "a line of its own": ("One.\n[sad]\nTwo.", ["One.", SAD, "Two."]),
    "before the end of a sentence": ("I see [sad]. Well.", ["I see.", SAD, "Well."]),
    "within a word": ("One[sad]two", ["One", SAD, "two"]),
    "in a quotation": ("He said: “[sad] One.”", ["He said: “", SAD, "One.”"]),
    "in a table": ("| [sad] a | b |", [SAD, "a, b."]),
    "CJK": ("你好[悲伤]。再见【笑】，好", ["你好。", SAD, "再见，", styled("in a sad voice, laughing"), "好"]),
    # What is none
    "phrases that are none": (
        "[very] [soft music] [fast only] [sad song] [sad, or]",
        ["[very] [soft music] [fast only] [sad song] [sad, or]"],
    ),
    "keys": (
        "Press [Enter], [Ctrl+C] or [voice], then [x]. [ ] [1] [a1] [Note]",
        ["Press [Enter], [Ctrl+C] or [voice], then [x]. [a1] [Note]"],
    ),
    "a kind that was not directed": ("The [style] and [language] keys", ["The [style] and [language] keys"]),
    "links": ("[sad](http://a.b) [voice: x](http://a.b) [text][sad]", ["sad voice: x text"]),
    "stage directions": ("*laughs* Well (sighs) ok", ["Well ok"]),
    "code": ("Write `[sad]` or\n```\n[voice: x]\n```\nhere", ["Write [sad] or.\n\nhere"]),
    "reasoning": ("<think>[voice: x] [sad]</think>One.", ["One."]),
    "reasoning without an opening tag": ("[voice: x] [sad] Hm.</think>One.", ["One."]),
    "unclosed": ("[style: x One.", ["[style: x One."]),
    "other tags": ("<b>One</b> <foo> <laughs at it>", ["One <foo> <laughs at it>"]),
}


@pytest.mark.parametrize("size", [0, 1, 3, 7])
@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_directs(text: str, expected: Heard, size: int) -> None:
    assert heard(text, size) == expected


ELSEWHERE = {
    "traurig": "in a sad voice", "triste": "in a sad voice", "грустно": "in a sad voice",
    "悲しそうに": "in a sad voice", "슬프게": "in a sad voice", "wütend": "in an angry voice",
    "enfadada": "in an angry voice",
    "arrabbiato": "in an angry voice", "flüsternd": "whispering", "chuchote": "whispering", "sussurrando": "whispering",
    "шёпотом": "whispering", "小声": "whispering", "속삭이며": "whispering", "lacht": "laughing", "rires": "laughing",
    "risas": "laughing", "смеётся": "laughing", "笑い": "laughing", "웃음": "laughing", "seufzt": "sighing",
    "suspira": "sighing", "sospira": "sighing", "叹气": "sighing", "ため息": "sighing", "한숨": "sighing",
}  # fmt: skip


@pytest.mark.parametrize(("word", "style"), ELSEWHERE.items())
def test_the_commonest_words_direct_in_other_languages_too(word: str, style: str) -> None:
    assert heard(f"[{word}] One.") == [styled(style), "One."]


FRAGMENTS = [
    *("Hello", "world.", "It is", "3. Mai", "- no", "\n- Milk", "\n# Title", "\n", "\n\n", "**bold", "text**", "*it*"),
    *(
        "`code`",
        " ",
        " ",
        " ",
        " ",
        ".",
        ",",
        "?",
        "你好",
        "。",
        "[1]",
        "[Enter]",
        "\n| a | b |",
        "*sighs*",
        "Dr.",
        "1.",
    ),
    *("\n1. ", "“", "”", "(x)", "[a](http://b.c)", "Lights are on\nDoor open"),
]
MARKS = [
    *("[sad]", "[style: tired]", "[voice: Serena]", "[laughs softly]", "[speed: 0.9]", "**[excited]**", "【悲伤】"),
    *("[style]", "[voice]"),
]


@tried(400)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=9), st.randoms(use_true_random=False), st.sampled_from([0, 1, 5]))
def test_the_text_around_directions_is_read_as_without_them(parts: list[str], chance: random.Random, size: int) -> None:
    """Except that no space is left before punctuation."""
    opening = "[style: a] [voice: b] "
    directed = opening + "".join(f"{part} {chance.choice(MARKS)} " if chance.random() < 0.3 else part for part in parts)
    plain = re.sub("|".join(map(re.escape, [opening, *MARKS])), "", directed)
    assert _text(heard(directed, size)) == _text(heard(plain))


def _text(items: Heard) -> str:
    return "".join("".join(item.split()) for item in items if isinstance(item, str))


NASTY = st.lists(
    st.sampled_from(
        [
            *(
                "[",
                "]",
                "【",
                "】",
                "[pause",
                ":",
                "1s]",
                "[style",
                "[voice: ",
                "x]",
                "[sad",
                "sad]",
                "[laughs",
                " softly",
            ),
            *(
                "[/",
                "style]",
                "[speed: ",
                "0.5",
                "%",
                "<",
                "<laugh",
                "/>",
                ">",
                "<break",
                "*",
                "**",
                "_",
                "`",
                "(",
                ")",
            ),
            *("\n", " ", " ", ".", ",", "。", "-", "1.", "#", "|", "a", "Word", "你", "<think>", "</think>", "```\n"),
            *("[voice]", "[sad]", "[sighs]", "[happy,", "and", "\ud83d", "\x00", "é", "\u0301", "😀"),
        ]
    ),
    max_size=30,
).map("".join)


@tried(500)
@given(NASTY | st.text(max_size=60), st.integers(1, 9))
def test_any_split_directs_alike(text: str, size: int) -> None:
    assert heard(text, size) == heard(text)


@pytest.mark.parametrize("opener", ["[pause:", "[style: ", "[voice:", "[sad ", "[", "**[", "【", "<laugh", "<break "])
def test_an_opener_holds_back_a_bounded_text(opener: str) -> None:
    said = [item for item in TextReader(ssml=False).feed(opener + "word " * 400) if isinstance(item, str)]
    assert sum(map(len, said)) > 1500


def test_a_pause_with_a_number_comes_out_at_once() -> None:
    assert list(TextReader(ssml=False).feed("[pause:2s]")) == [Pause(2.0)]


def test_a_direction_that_is_cut_by_a_pause_of_the_writer_is_followed() -> None:
    script = Script()
    script.add_text("One. [style: ti")
    script.flush()
    assert _taken(script) == [SpokenPiece("One.")]
    script.add_text("red] Two.")
    script.flush()
    assert _taken(script) == [SpokenPiece("Two.", styled("tired"))]
    script.add_text("Three.")
    script.end_text()
    assert _taken(script) == [SpokenPiece("Three.", styled("tired"))]


def test_a_sound_ends_with_the_text_that_has_paused() -> None:
    script = Script()
    script.add_text("[sighs] I do not know")
    script.flush()
    script.add_text("It is on.")
    script.end_text()
    assert _taken(script) == [SpokenPiece("I do not know.", styled("sighing")), SpokenPiece("It is on.")]


def test_a_change_within_a_sentence_divides_it() -> None:
    script = Script()
    script.add_text("He said [style: tired] I am here [style] and left.")
    script.end_text()
    assert _taken(script) == [
        SpokenPiece("He said"), SpokenPiece("I am here", styled("tired")), SpokenPiece("and left."),
    ]  # fmt: skip


@pytest.mark.parametrize("size", [1, 3, 100])
def test_live_rows_are_directed_too(size: int) -> None:
    text = "One is [sad] here. [sighs] Two. [voice: Ann] Three."
    script = LiveScript()
    for start in range(0, len(text), size):
        script.add_text(text[start : start + size])
    script.end_text()
    found: dict[Delivery, str] = {}
    for segment in _taken(script):
        if isinstance(segment, SpokenPiece):
            found[segment.delivery] = found.get(segment.delivery, "") + segment.text
    assert found == {
        DEFAULT_DELIVERY: "One is",
        SAD: "here.",
        styled("in a sad voice, sighing"): "Two.",
        Delivery(voice="Ann", style="in a sad voice"): "Three.",
    }


def _taken(script: Script | LiveScript) -> list[Segment]:
    taken = []
    while segment := script.take():
        taken.append(segment)
    return taken

"""Where sentences and clauses end, in ten languages, and where text is cut when neither comes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import tried
from wyoming_qwen3.text.sentences import Sentences, clause_end, speakable, split_point


def sentences(*pieces: str) -> list[str]:
    splitter = Sentences()
    return [*(found for piece in pieces for found in splitter.feed(piece)), *splitter.finish()]


# A bar marks each boundary.
TEXTS = [
    "Hello there. |How are you? |Fine! |Good.",
    "“Stop!” |She did. |(Really.) |‘Yes.’ |Good.",
    "“Stop!” she said. |Then she went.",
    "Wait... what? |No... |Yes… |Ok.",
    "Dr. Smith met Mr. and Mrs. Jones at St. Mary's. |They left.",
    "It costs 3.14 dollars, or 10,000.50 yen. |See file.txt and home-assistant.io. |Done.",
    "It is 10:30. |It is hot.",
    "The U.S. and J. R. Smith agree, e.g. Bob, approx. 5 people. |Yes.",
    "We meet at 5 p.m. |Then we go at 6 a.m. 30 is fine.",
    "1. Preheat the oven. |2. Bake.",
    "Am 5. März kommt Hr. Müller, z.B. mit Prof. Dr. Maier, d. h. nicht allein. |Gut.",
    "Das kostet ca. 5 Euro bzw. Dollar. |Ärgerlich! |Öffne es.",
    "M. Dupont et Mme. Durand sont là. |Très bien ! |À demain.",
    "¿Qué tal? |¡Bien! |La Sra. López y Ud. vienen.",
    "Il sig. Rossi è qui. |Perché? |È tardi.",
    "O Sr. Silva chegou. |Às dez? |Não.",
    "Это г. Москва, ул. Ленина. |Хорошо. |А. С. Пушкин.",
    "你好。|今天天气很好！|我们出去吧？！|好",
    "他说：“好。”|她走了。|圆周率是3.14。|对",
    "你好!|今天好吗?|好",
    "「はい。」|そうです。|では……また",
    "안녕하세요. |오늘 날씨가 좋습니다. |네.",
    "كيف حالك؟ |أنا بخير. |شكرا",
    "A title\n\n|a paragraph\n\n|another",
    "One.\n\n|Two, and\n\n|three",
    "Dr.\n\n|Smith",
    "no end",
    "",
    "...",
]


@pytest.mark.parametrize("marked", TEXTS)
def test_sentences_end(marked: str) -> None:
    text = marked.replace("|", "")
    assert sentences(text) == [part for part in marked.split("|") if part]
    assert sentences(*text) == sentences(text)


@tried(200)
@given(
    st.lists(st.sampled_from(["a", "B", " ", "\n\n", ".", "!", "?", "…", "。", "”", "1", "你", "Dr", "z.B.", ","])),
    st.integers(1, 5),
)
def test_nothing_is_lost_and_any_split_ends_alike(fragments: list[str], size: int) -> None:
    text = "".join(fragments)
    assert "".join(sentences(text)) == text
    assert sentences(*(text[i : i + size] for i in range(0, len(text), size))) == sentences(text)


def test_a_sentence_is_given_once_the_next_begins() -> None:
    splitter = Sentences()
    assert splitter.feed("It is 3. ") == []
    assert splitter.feed("Yes. ") == []
    assert splitter.feed("N") == ["It is 3. Yes. "]
    assert splitter.tail == "N"
    assert splitter.feed("o. \n\nX") == ["No. \n\n"]
    assert splitter.finish() == ["X"]


@pytest.mark.parametrize(
    ("text", "clause"),
    [
        ("Good morning everyone, I am", "Good morning everyone,"),
        ("Good morning everyone, I am, or", "Good morning everyone, I am,"),
        ("Hello, I am", ""),
        ("Hello, here I am, or", "Hello, here I am,"),
        ("It is about 10,000 or 10:30 o'clock", ""),
        ("These are the lights: one", "These are the lights:"),
        ("The kitchen light — the big one", "The kitchen light —"),
        ("The kitchen light—the big one", "The kitchen light—"),
        ("well-known and so-called", ""),
        ("早上好，今天天气很好，我们", "早上好，今天天气很好，"),
        ("早上好，今", ""),
        ("价格大约是10，000元", ""),
        ("これはペンです、あれは", "これはペンです、"),
        ("", ""),
    ],
)
def test_clauses_end(text: str, clause: str) -> None:
    assert text[: clause_end(text)] == clause


@pytest.mark.parametrize(
    ("text", "piece"),
    [
        ("one two three, four five six", "one two three,"),
        ("one, two three four five six seven", "one, two three four"),
        ("it costs 10,000,000,000 now", "it costs"),
        ("one,twothreefourfivesixseven", "one,twothreefourfive"),
        ("我们今天去公园散步然后回家吃饭看电视再睡觉吧", "我们今天去公园散步然后回家吃饭看电视再睡"),
        ("我们今天去公园散步，然后回家吃饭看电视再睡觉吧", "我们今天去公园散步，"),
        ("我们今天去公园散步然后回家abcdefghijklmnopq", "我们今天去公园散步然后回"),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaa"),
    ],
)
def test_long_text_is_cut_at_the_best_place(text: str, piece: str) -> None:
    assert text[: split_point(text, 20)] == piece


@tried(200)
@given(st.text(st.sampled_from("a你1, ，。—\n"), min_size=2, max_size=60), st.integers(1, 40))
def test_a_cut_leaves_something_and_fits(text: str, limit: int) -> None:
    if len(text) > limit:
        assert 0 < split_point(text, limit) <= limit


@pytest.mark.parametrize("text", ["a", "1", "你", "ك", "한", "…é"])
def test_letters_and_digits_are_speakable(text: str) -> None:
    assert speakable(text)


@pytest.mark.parametrize("text", ["", " ", "...", "—", "😀", "*", "\n", "€"])
def test_marks_alone_are_not_speakable(text: str) -> None:
    assert not speakable(text)

"""Pauses and SSML are read out of text that comes in any pieces; what is malformed is text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import tried
from tests.text.pauses import PAUSES, read
from wyoming_qwen3.text.markup import Pause, SsmlReader

SSML = {
    "break by time": ("a<break time='250ms'/>b", ["a", Pause(0.25), "b"]),
    "break time beats strength": ('<break strength="x-strong" time="2s"/>', [Pause(2.0)]),
    "break capped": ('<break time="60s"/>', [Pause(10.0)]),
    "break strengths": (
        "".join(f'<break strength="{name}"/>' for name in ("x-weak", "weak", "medium", "strong", "x-strong")),
        [Pause(0.1), Pause(0.25), Pause(0.5), Pause(1.0), Pause(1.5)],
    ),
    "break none": ('a<break strength="none"/>b', ["ab"]),
    "break alone": ("<break/><break />", [Pause(0.5), Pause(0.5)]),
    "break malformed": ('<break time="soon"/>', [Pause(0.5)]),
    "pause": ("[pause:1s]", [Pause(1.0)]),
    "tags dropped": ('<speak version="1.0"><prosody rate="slow">Hi</prosody> you</speak>', ["Hi you"]),
    "tag in a word": ("<emphasis>hel</emphasis>lo", ["hello"]),
    "quoted angle bracket": ('<voice name="a>b">x</voice>', ["x"]),
    "namespaced tag": ('<amazon:effect name="whispered">x</amazon:effect>', ["x"]),
    "alias": ('the <sub alias="World Wide Web">WWW</sub> is', ["the World Wide Web is"]),
    "alias with entity": ("<sub alias='A &amp; B'>AB</sub>", ["A & B"]),
    "alias unclosed": ('<sub alias="x">WWW', ["WWW"]),
    "sentences": ("<s>One</s><s>Two</s>", ["\n\nOne\n\n\n\nTwo\n\n"]),
    "paragraphs": ('<p xml:lang="en">One</p>', ["\n\nOne\n\n"]),
    "comment": ("a<!-- <b> -- no -->b", ["ab"]),
    "CDATA": ("<![CDATA[a <b> & [c] ]]>d", ["a <b> & [c] d"]),
    "CDATA unclosed": ("<![CDATA[a b", ["a b"]),
    "declarations": ('<?xml version="1.0"?><!DOCTYPE speak>x', ["x"]),
    "entities": ("a &amp; b &lt;c&gt; &#65;&#x42; &quot;", ['a & b <c> AB "']),
    "no entities": ("AT&T & co &nosuch; &#;", ["AT&T & co &nosuch; &#;"]),
    "less than": ("a < b <3 c", ["a < b <3 c"]),
    "cut tag": ("Hello <break tim", ["Hello <break tim"]),
    "quote open": ('<p title="x>y', ['<p title="x>y']),
    "empty lines are spaces": ("a\n\n  b\r\nc", ["a b c"]),
    "empty": ("", []),
}


@pytest.mark.parametrize(("text", "stretches"), PAUSES.values(), ids=PAUSES)
def test_reads_pauses(text: str, stretches: list[str | Pause]) -> None:
    assert read(text) == stretches
    assert read(*text) == stretches


@pytest.mark.parametrize(("text", "stretches"), SSML.values(), ids=SSML)
def test_reads_ssml(text: str, stretches: list[str | Pause]) -> None:
    assert read(text, ssml=True) == stretches
    assert [_squeezed(stretch) for stretch in read(*text, ssml=True)] == [_squeezed(stretch) for stretch in stretches]


def _squeezed(stretch: str | Pause) -> str | Pause:
    """White space that is split may become two spaces: the cleanup makes one of them."""
    return stretch if isinstance(stretch, Pause) else " ".join(stretch.split())


FRAGMENTS = st.sampled_from(
    [
        *("[pause", "[pause:", "1s]", "0.5s", "500ms", "]", "[", "<break", "<break/>", 'time="1s"', "strength='weak'"),
        *(
            "/>",
            ">",
            "<",
            "</",
            "<s>",
            "</s>",
            "<p>",
            '<sub alias="x">',
            "</sub>",
            "<!--",
            "-->",
            "-",
            "--",
            "<?",
            "<!D",
        ),
        *("<![CDATA[", "]]>", "]]", "&", "&amp;", "&lt;", "amp;", ";", '"', "'", " ", "\n", "a", "b1", "你"),
    ]
)
NASTY = st.lists(FRAGMENTS, max_size=25).map("".join)


@tried(400)
@given(NASTY, st.integers(1, 9), st.booleans())
def test_any_split_reads_alike(text: str, size: int, ssml: bool) -> None:
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    assert [_squeezed(s) for s in read(*pieces, ssml=ssml)] == [_squeezed(s) for s in read(text, ssml=ssml)]


@tried(100)
@given(NASTY)
def test_pauses_are_bounded(text: str) -> None:
    assert all(0 < stretch.seconds <= 10 for stretch in read(text, ssml=True) if isinstance(stretch, Pause))


@pytest.mark.parametrize(
    "opener", ["[pause:", "<break ", "<!--", "<![CDATA[", "<?xml ", '<p a="', "&", '<sub alias="x">']
)
def test_an_opener_holds_back_a_bounded_text(opener: str) -> None:
    reader = SsmlReader()
    said = reader.feed(opener + "word " * 800)
    assert sum(len(stretch) for stretch in said if isinstance(stretch, str)) > 1000

"""SSML as people bring it from Azure, Google and Amazon; what is malformed is text, with a warning."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import tried
from tests.text.heard import Heard, heard, styled, warned
from wyoming_qwen3.text.delivery import DEFAULT_DELIVERY, Delivery
from wyoming_qwen3.text.markup import Pause
from wyoming_qwen3.text.pieces import Script
from wyoming_qwen3.text.ssml import MAX_DEPTH, MAX_WARNINGS, SsmlReader

WHISPER = styled("whispering")


def said_as(kind: str, content: str, rest: str = "") -> str:
    return f'<say-as interpret-as="{kind}"{rest}>{content}</say-as>'


PAUSES: dict[str, tuple[str, Heard]] = {
    "break by time": ("a<break time='250ms'/>b", ["a", Pause(0.25), "b"]),
    "break time beats strength": ('<break strength="x-strong" time="2s"/>', [Pause(2.0)]),
    "break capped": ('<break time="60s"/>', [Pause(10.0)]),
    "break strengths": (
        "".join(f'<break strength="{name}"/>' for name in ("x-weak", "weak", "medium", "strong", "x-strong")),
        [Pause(0.1), Pause(0.25), Pause(0.5), Pause(1.0), Pause(1.5)],
    ),
    "break none": ('a<break strength="none"/>b', ["ab"]),
    "break alone": ("<break/><break /><break></break>", [Pause(0.5), Pause(0.5), Pause(0.5)]),
    "break malformed": ('<break time="soon"/>', [Pause(0.5)]),
    "pause": ("[pause:1s] a [pause] b [pauses]", [Pause(1.0), "a", Pause(0.5), "b", Pause(0.5)]),
    "silence before": ('<mstts:silence type="Leading" value="200ms"/>a', [Pause(0.2), "a"]),
    "silence after": ('<voice name="x"><mstts:silence type="Tailing-exact" value="1s"/>a</voice> b', [
        Delivery(voice="x"), "a", Pause(1.0), DEFAULT_DELIVERY, "b"]),
    "silence elsewhere": ('<mstts:silence type="Sentenceboundary" value="1s"/>a. b', ["a. b"]),
}  # fmt: skip

TEXTS: dict[str, tuple[str, Heard]] = {
    "tags dropped": ('<speak version="1.0"><foo a="b">Hi</foo> you</speak>', ["Hi you"]),
    "tag in a word": ("<emphasis>hel</emphasis>lo", ["hello"]),
    "quoted angle bracket": ('<w role="a>b">x</w>', ["x"]),
    "alias": ('the <sub alias="World Wide Web">WWW</sub> is', ["the World Wide Web is"]),
    "alias with entity": ("<sub alias='A &amp; B'>AB</sub>", ["A & B"]),
    "alias unclosed": ('<sub alias="x">WWW', ["WWW"]),
    "sentences": ("<s>One</s><s>Two</s>", ["One.\n\nTwo."]),
    "paragraphs": ('<p xml:space="x">One</p>Two', ["One.\n\nTwo"]),
    "comment": ("a<!-- <b> -- no -->b", ["ab"]),
    "CDATA": ("<![CDATA[a <b> & [c] ]]>d", ["a <b> & [c] d"]),
    "CDATA unclosed": ("<![CDATA[a b", ["a b"]),
    "declarations": ('<?xml version="1.0"?><!DOCTYPE speak [<!ENTITY a "bbb">]>x &a;', ["x &a;"]),
    "entities": ("a &amp; b &lt;c&gt; &#65;&#x42; &quot;", ['a & b <c> AB "']),
    "no entities": ("AT&T & co &nosuch; &#;", ["AT&T & co &nosuch; &#;"]),
    "less than": ("a < b <3 c, a <b and c> d", ["a < b <3 c, a <b and c> d"]),
    "cut tag": ("Hello <break tim", ["Hello <break tim"]),
    "quote open": ('<p title="x>y', ['<p title="x>y']),
    "white space": ("a\n\n  b\r\nc", ["a b c"]),
    "markdown is text": ("*a* [sad] [voice: x] # b", ["*a* [sad] [voice: x] # b"]),
    "empty": ("", []),
    "emphasis": ('so <emphasis level="strong">very</emphasis> good', ["so very good"]),
    "phoneme": ('<phoneme alphabet="ipa" ph="təˈmeɪtoʊ">tomato</phoneme>', ["tomato"]),
    "audio": ('<audio src="https://a.b/c.mp3"><desc>a cat</desc>purr</audio> ok', ["purr ok"]),
    "marks": ('a <mark name="x"/>b <bookmark mark="y"/>c<mark name="z"></mark>', ["a b c"]),
    "metadata": ('<metadata><x>no</x></metadata><lexicon uri="a"/><meta name="b" content="c"/>a', ["a"]),
    "media": ('<par><media xml:id="a"><speak>One.</speak></media><media><audio src="b"/></media></par>', ["One."]),
    "reasoning": ("<speak><think>No. <b/> <voice name='x'></think>Yes.</speak>", ["Yes."]),
    "reasoning in other marks": ("[THINK]No.[/THINK]Yes.<|im_end|>", ["Yes."]),
    "reasoning without an opening tag": ("<speak><voice name='x'>No.</think><speak>Yes.</speak>", ["Yes."]),
    "a tool call": ("One <tool_call>{}</tool_call>two", ["One.\n\ntwo"]),
    "unclosed reasoning": ("One. <think>No.", ["One."]),
}

SAY_AS: dict[str, tuple[str, str]] = {
    "characters": (said_as("characters", "ab1"), "A B 1"),
    "spell-out": (said_as("spell-out", "AT&amp;T ok"), "A T & T, O K"),
    "verbatim": (said_as("verbatim", "ß中"), "ß 中"),
    "digits": (said_as("digits", "1234"), "1 2 3 4"),
    "telephone": (said_as("telephone", "+1 (555) 123-4567", ' format="1"'), "+ 1, 5 5 5, 1 2 3, 4 5 6 7"),
    "cardinal": (said_as("cardinal", "12,345"), "12,345"),
    "ordinal": (said_as("ordinal", "3rd"), "3rd"),
    "unit": (said_as("unit", "10 foot"), "10 foot"),
    "currency": (said_as("currency", "$42.01", ' language="en-US"'), "$42.01"),
    "fraction": (said_as("fraction", "5+1/2"), "5+1/2"),
    "time": (said_as("time", "2:30pm", ' format="hms12"'), "2:30pm"),
    "expletive": ("It is " + said_as("expletive", "damned") + " hot", "It is hot"),
    "date mdy": (said_as("date", "11/29/2026", ' format="mdy"'), "2026-11-29"),
    "date dmy": (said_as("date", "29.11.26", ' format="dmy"'), "2026-11-29"),
    "date of the last century": (said_as("date", "29-11-99", ' format="dmy"'), "1999-11-29"),
    "date ymd": (said_as("date", "2026/11/29", ' format="ymd"'), "2026-11-29"),
    "date yyyymmdd": (said_as("date", "20261129", ' format="yyyymmdd"'), "2026-11-29"),
    "date that is none": (said_as("date", "2026-13-29", ' format="ymd"'), "2026-13-29"),
    "date in words": (said_as("date", "Nov 29, 2026", ' format="mdy"'), "Nov 29, 2026"),
    "date of two parts": (said_as("date", "11/29", ' format="md"'), "11/29"),
    "markup within": ('<say-as interpret-as="digits">1<break time="1s"/>2</say-as>', ""),
    "closed by another tag": ('<say-as interpret-as="digits">12</sub>', "12"),
    "unknown": (said_as("foo", "bar"), "bar"),
}

DIRECTIONS: dict[str, tuple[str, Heard]] = {
    "voice": ('<voice name="Serena">One.</voice> Two.', [Delivery(voice="Serena"), "One.", DEFAULT_DELIVERY, "Two."]),
    "voice by gender": (
        '<voice gender="female">One.</voice><voice gender="male" language="de">Two.</voice>',
        [Delivery(voice="Serena"), "One.", Delivery(voice="Ryan", language="de"), "Two."],
    ),
    "voice with languages": (
        '<voice name="x" languages="fr-FR:a en-US">One.</voice>',
        [Delivery(voice="x", language="fr-FR"), "One."],
    ),
    "language in a voice": (
        '<speak xml:lang="en"><voice name="de-DE-KatjaNeural">Eins.</voice><voice name="Kendra">One.</voice></speak>',
        [Delivery(voice="de-DE-KatjaNeural", language="de"), "Eins.", Delivery(voice="Kendra", language="en"), "One."],
    ),
    "multilingual voice": (
        '<speak xml:lang="en-US"><voice name="en-US-AvaMultilingualNeural">Eins.</voice></speak>',
        [Delivery(voice="en-US-AvaMultilingualNeural"), "Eins."],
    ),
    "turn": (
        '<mstts:dialog><mstts:turn speaker="ava">One.</mstts:turn></mstts:dialog>',
        [Delivery(voice="ava"), "One."],
    ),
    "language": (
        '<lang xml:lang="fr-FR">Un. <s xml:lang="de">Eins.</s> Deux.</lang> One.',
        [
            Delivery(language="fr-FR"),
            "Un.",
            Delivery(language="de"),
            "Eins.",
            Delivery(language="fr-FR"),
            "Deux.",
            DEFAULT_DELIVERY,
            "One.",
        ],
    ),
    "nothing in it": ('One. <voice name="x"> </voice><voice name="y"/>Two.', ["One. Two."]),
    "entities and quotes in attributes": (
        "<voice name='A &amp; \"B\"'>One.</voice>",
        [Delivery(voice='A & "B"'), "One."],
    ),
    "single element without quotes": ("<prosody rate=slow>One.</prosody>", [Delivery(speed=0.75), "One."]),
    "in capitals": (
        '<PROSODY RATE="X-SLOW">One.</Prosody> Two.',
        [Delivery(speed=0.5), "One.", DEFAULT_DELIVERY, "Two."],
    ),
    "silent": ('One. <prosody volume="silent">No. <voice name="x">No.</voice></prosody>Two.', ["One. Two."]),
    "inherited": (
        '<prosody rate="fast">One. <prosody volume="+6dB" rate="+10%">Two. <voice name="x">Three.</voice></prosody>'
        " Four.</prosody> Five.",
        [
            Delivery(speed=1.3),
            "One.",
            Delivery(speed=1.3 * 1.1, gain=6.0),
            "Two.",
            Delivery(speed=1.3 * 1.1, gain=6.0, voice="x"),
            "Three.",
            Delivery(speed=1.3),
            "Four.",
            DEFAULT_DELIVERY,
            "Five.",
        ],
    ),
    "style": (
        '<mstts:express-as style="sad">One.</mstts:express-as> Two.',
        [styled("in a sad voice"), "One.", DEFAULT_DELIVERY, "Two."],
    ),
    "degrees": (
        "".join(
            f'<mstts:express-as style="{style}" styledegree="{degree}">{degree}.</mstts:express-as>'
            for style, degree in [("sad", 0.5), ("angry", 1), ("whispering", 2)]
        ),
        [
            styled("in a slightly sad voice"),
            "0.5.",
            styled("in an angry voice"),
            "1.",
            styled("intensely whispering"),
            "2.",
        ],
    ),
    "style that is no adjective": (
        '<mstts:express-as style="poetry-reading">One.</mstts:express-as>',
        [styled("like a reader of poems"), "One."],
    ),
    "unknown style": (
        '<mstts:express-as style="odd_new">One.</mstts:express-as>',
        [styled("in an odd new voice"), "One."],
    ),
    "role": (
        '<mstts:express-as role="YoungAdultFemale" style="calm">One.</mstts:express-as>',
        [styled("in a calm voice, like a young woman"), "One."],
    ),
    "domain": ('<amazon:domain name="news">One.</amazon:domain>', [styled("like a newsreader"), "One."]),
    "emotion": (
        '<amazon:emotion name="excited" intensity="high">One.</amazon:emotion>',
        [styled("in a very excited voice"), "One."],
    ),
    "effects": (
        '<amazon:effect name="whispered">One.</amazon:effect> '
        '<amazon:effect phonation="soft">Two.</amazon:effect>'
        '<amazon:effect name="drc">Three.</amazon:effect>',
        [WHISPER, "One.", styled("in a soft voice"), "Two.", DEFAULT_DELIVERY, "Three."],
    ),
    "Google's style": ('<google:style name="lively">One.</google:style>', [styled("in a lively voice"), "One."]),
    "pitch and style": (
        '<amazon:effect name="whispered"><prosody pitch="+3st">One.</prosody></amazon:effect>',
        [styled("whispering, in a higher pitch"), "One."],
    ),
}

CASES = {
    **PAUSES,
    **TEXTS,
    **DIRECTIONS,
    **{f"say-as {name}": (text, [said]) for name, (text, said) in SAY_AS.items() if said},
    "say-as with markup": (SAY_AS["markup within"][0], ["1", Pause(1.0), "2"]),
}


@pytest.mark.parametrize("size", [0, 1, 3, 7])
@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_reads(text: str, expected: Heard, size: int) -> None:
    assert heard(text, size, ssml=True) == expected


RATES = {
    "x-slow": 0.5, "slow": 0.75, "medium": 1.0, "default": 1.0, "fast": 1.3, "x-fast": 1.7, "1.2": 1.2, "0.5": 0.5,
    "80%": 0.8, "150%": 1.5, "+10%": 1.1, "-20.00%": 0.8, "0%": 1.0, "10%": 1.1, "+0.5": 1.5, "-0.1": 0.9, "9": 4.0,
    "1%": 1.01, "-90%": 0.25, "soon": 1.0, "5st": 1.0, "": 1.0,
}  # fmt: skip
VOLUMES = {
    "x-soft": -12.0, "soft": -6.0, "medium": 0.0, "default": 0.0, "loud": 6.0, "x-loud": 10.0, "+6dB": 6.0,
    "-4.5 dB": -4.5, "100": 0.0, "50": -6.02, "50%": -6.02, "-50%": -6.02, "+100": 6.02, "+90dB": 12.0, "-90dB": -40.0,
    "0.001": -40.0, "noisy": 0.0, "5Hz": 0.0,
}  # fmt: skip
PITCHES = {
    "x-low": "in a much lower pitch", "low": "in a lower pitch", "medium": None, "default": None,
    "high": "in a higher pitch", "x-high": "in a much higher pitch", "+10%": "in a slightly higher pitch", "+2%": None,
    "-20%": "in a lower pitch", "+50%": "in a much higher pitch", "-1st": "in a slightly lower pitch", "+30Hz":
    "in a higher pitch", "-120%": "in a much lower pitch", "200Hz": None, "squeaky": None,
}  # fmt: skip


@pytest.mark.parametrize(("rate", "speed"), RATES.items())
def test_rates(rate: str, speed: float) -> None:
    assert _delivery(f'<prosody rate="{rate}">One</prosody>').speed == pytest.approx(speed)


@pytest.mark.parametrize(("volume", "gain"), VOLUMES.items())
def test_volumes(volume: str, gain: float) -> None:
    assert _delivery(f'<prosody volume="{volume}">One</prosody>').gain == pytest.approx(gain, abs=0.01)


@pytest.mark.parametrize(("pitch", "style"), PITCHES.items())
def test_a_pitch_is_a_style(pitch: str, style: str | None) -> None:
    assert _delivery(f'<prosody pitch="{pitch}">One</prosody>').style == style


@pytest.mark.parametrize("volume", ["silent", "0", "0%", "-0"])
def test_no_volume_is_not_heard(volume: str) -> None:
    heard_of_it = heard(f'<prosody volume="{volume}">One</prosody>', ssml=True)
    assert heard_of_it == ([] if volume != "-0" else ["One"])


def _delivery(text: str) -> Delivery:
    items = heard(text, ssml=True)
    assert items[-1] == "One"
    return items[0] if isinstance(items[0], Delivery) else DEFAULT_DELIVERY


WARNINGS = {
    "nothing": ("<speak>One <break/> &amp; two.</speak>", []),
    "no root": ("One. Two.", []),
    "unclosed": ("<speak><p>One.</speak>", ["<p> is not closed."]),
    "unclosed at the end": ("<speak><voice name='x'>One.", ["<voice> is not closed.", "<speak> is not closed."]),
    "closing nothing": ("One.</prosody> Two.</break>", ["</prosody> closes nothing."]),
    "crossed": ("<p><s>One.</p></s>", ["<s> is not closed.", "</s> closes nothing."]),
    "signs": ("a < b, AT&T", ["< begins no markup; it is written &lt;.", "& begins no markup; it is written &amp;."]),
    "the same twice": ("a & b & c", ["& begins no markup; it is written &amp;."]),
}


@pytest.mark.parametrize("size", [0, 1, 3])
@pytest.mark.parametrize(("text", "warnings"), WARNINGS.values(), ids=WARNINGS)
def test_warns_of_what_is_not_correct(text: str, warnings: list[str], size: int) -> None:
    assert list(warned(text, size)) == [f"The SSML is not correct: {warning}" for warning in warnings]


def test_a_script_has_the_warnings() -> None:
    script = Script(ssml=True)
    script.add_text("<speak>One.")
    before = script.warnings
    script.end_text()
    assert (before, script.warnings) == ((), ("The SSML is not correct: <speak> is not closed.",))
    assert Script().warnings == ()


def test_what_a_crossed_tag_directed_ends_with_the_outer_one() -> None:
    text = '<voice name="x"><prosody rate="slow">One.</voice> Two.</prosody> Three.'
    assert heard(text, ssml=True) == [Delivery(voice="x", speed=0.75), "One.", DEFAULT_DELIVERY, "Two. Three."]


def test_depth_and_warnings_are_bounded() -> None:
    text = "".join(f"<a{number}>" for number in range(500)) + "x" + "".join(f"</b{number}>" for number in range(500))
    reader = SsmlReader()
    reader.feed(text)
    reader.finish()
    assert len(reader.warnings) == MAX_WARNINGS
    assert any(f"more than {MAX_DEPTH} elements" in warning for warning in reader.warnings)


LOUDER = 20 * math.log10(1.2)
AZURE = """<speak version="1.0" xmlns="http://www.w3.org/2001/10/synthesis"
       xmlns:mstts="https://www.w3.org/2001/mstts" xml:lang="en-US">
    <mstts:backgroundaudio src="https://example.com/rain.wav" volume="0.5"/>
    <voice name="en-US-GuyNeural">
        <mstts:silence type="Sentenceboundary" value="200ms"/>
        <mstts:express-as style="newscast" styledegree="1.5">
            Good evening. Here is the weather.
        </mstts:express-as>
        <prosody rate="-10.00%" volume="+20.00%" pitch="low">
            It rains in <lang xml:lang="fr-FR">Marseille</lang>.
        </prosody>
        <break strength="strong"/>
    </voice>
    <voice name="de-DE-KatjaNeural">
        <mstts:express-as role="Girl" style="whispering">Gute <bookmark mark="night"/>Nacht!</mstts:express-as>
        <say-as interpret-as="date" format="dmy">29.11.2026</say-as>
    </voice>
</speak>"""
GOOGLE = """<speak>
  Here are <say-as interpret-as="characters">SSML</say-as> samples.
  I can pause <break time="3s"/>.
  I can play a sound <audio src="https://www.example.com/bell.mp3"><desc>a bell</desc>didn't get it</audio>.
  Your code is <say-as interpret-as="verbatim">ab12</say-as>.
  <p><s>This is one.</s><s><prosody rate="slow" pitch="-2st">This is two.</prosody></s></p>
  <voice language="de-DE" gender="female">Das ist <emphasis level="moderate">gut</emphasis>.</voice>
  <voice name="ja-JP-Wavenet-A"><google:style name="empathetic">はい。</google:style></voice>
  <sub alias="kilometres">km</sub>
</speak>"""
AMAZON = """<speak>
  <amazon:auto-breaths>Mary has a little lamb.</amazon:auto-breaths>
  <amazon:effect name="whispered">Do not tell anyone.</amazon:effect>
  <prosody volume="x-loud" rate="150%">Wake up!</prosody>
  <amazon:emotion name="disappointed" intensity="low">We lost.</amazon:emotion>
  <amazon:domain name="conversational"><voice name="Joanna">Hi there.</voice></amazon:domain>
  <w role="amazon:VB">read</w> <say-as interpret-as="telephone">2122241555</say-as>
  <phoneme alphabet="x-sampa" ph="pI&quot;kA:n">pecan</phoneme><mark name="end"/>
</speak>"""
SAMPLES: dict[str, tuple[str, Heard]] = {
    "Azure": (
        AZURE,
        [
            Delivery(voice="en-US-GuyNeural", language="en", style="like a newsreader"),
            "Good evening. Here is the weather.",
            Delivery(voice="en-US-GuyNeural", language="en", style="in a lower pitch", speed=0.9, gain=LOUDER),
            "It rains in",
            Delivery(voice="en-US-GuyNeural", language="fr-FR", style="in a lower pitch", speed=0.9, gain=LOUDER),
            "Marseille.",
            Pause(1.0),
            Delivery(voice="de-DE-KatjaNeural", language="de", style="whispering, like a young girl"),
            "Gute Nacht!",
            Delivery(voice="de-DE-KatjaNeural", language="de"),
            "2026-11-29",
        ],
    ),
    "Google": (
        GOOGLE,
        [
            "Here are S S M L samples. I can pause",
            Pause(3.0),
            "I can play a sound didn't get it. Your code is A B 1 2.\n\nThis is one.",
            Delivery(speed=0.75, style="in a lower pitch"),
            "This is two.",
            Delivery(voice="Serena", language="de-DE"),
            "Das ist gut.",
            Delivery(voice="ja-JP-Wavenet-A", language="ja", style="in an empathetic voice"),
            "はい。",
            DEFAULT_DELIVERY,
            "kilometres",
        ],
    ),
    "Amazon": (
        AMAZON,
        [
            "Mary has a little lamb.",
            WHISPER,
            "Do not tell anyone.",
            Delivery(speed=1.5, gain=10.0),
            "Wake up!",
            styled("in a slightly disappointed voice"),
            "We lost.",
            Delivery(voice="Joanna", style="in a casual voice, as in a conversation"),
            "Hi there.",
            DEFAULT_DELIVERY,
            "read 2 1 2 2 2 4 1 5 5 5 pecan",
        ],
    ),
}


@pytest.mark.parametrize("size", [0, 1, 3, 7])
@pytest.mark.parametrize(("text", "expected"), SAMPLES.values(), ids=SAMPLES)
def test_each_clouds_ssml(text: str, expected: Heard, size: int) -> None:
    assert heard(text, size, ssml=True) == expected
    assert warned(text, size) == ()


NASTY = st.lists(
    st.sampled_from(
        [
            *(
                "[pause",
                "[pause:",
                "1s]",
                "]",
                "[",
                "<break",
                "<break/>",
                'time="1s"',
                "strength='weak'",
                "/>",
                ">",
                "<",
            ),
            *(
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
                "<![CDATA[",
            ),
            *(
                "]]>",
                "]]",
                "&",
                "&amp;",
                "&lt;",
                "amp;",
                ";",
                '"',
                "'",
                " ",
                "\n",
                "a",
                "b1",
                "你",
                "<think>",
                "</think>",
            ),
            *('<prosody rate="slow"', ' volume="+1dB"', "</prosody>", '<voice name="x">', "</voice>", "=", "[THINK]"),
            *(
                '<say-as interpret-as="digits">',
                "</say-as>",
                '<mstts:silence type="Tailing" value="1s"/>',
                "😀",
                "\ud83d",
            ),
        ]
    ),
    max_size=30,
).map("".join)


@tried(500)
@given(NASTY | st.text(max_size=60), st.integers(1, 9))
def test_any_split_reads_alike(text: str, size: int) -> None:
    whole = heard(text, ssml=True)
    assert heard(text, size, ssml=True) == whole
    assert warned(text, size) == warned(text)
    assert all(0 < item.seconds <= 10 for item in whole if isinstance(item, Pause))


@pytest.mark.parametrize(
    "opener", ["[pause:", "<break ", "<!--", "<![CDATA[", "<?xml ", '<p a="', "&", '<sub alias="x">', "<p a=b c=d "]
)
def test_an_opener_holds_back_a_bounded_text(opener: str) -> None:
    said = SsmlReader().feed(opener + "word " * 800)
    assert sum(len(item) for item in said if isinstance(item, str)) > 1000

"""Markdown becomes what a person would read out, in whatever pieces it arrives."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import tried
from wyoming_qwen3.text.cleanup import Cleaner
from wyoming_qwen3.text.markup import Retraction
from wyoming_qwen3.text.unit_joiner import Joined


def clean(*pieces: str, markdown: bool = True) -> str:
    cleaner = Cleaner(markdown=markdown)
    return text_of([item for piece in pieces for item in cleaner.feed(piece)] + cleaner.finish())


def text_of(joined: list[Joined]) -> str:
    """All text that was not retracted."""
    said = ""
    for item in joined:
        said = "" if isinstance(item, Retraction) else said + item if isinstance(item, str) else said
    return said


CASES = {
    "plain": ("Hello there, world.", "Hello there, world."),
    "white space": ("  Hello \t  there\nworld  ", "Hello there world"),
    "carriage returns": ("one\r\ntwo\r\rthree", "one two.\n\nthree"),
    "bold and italic": ("**bold** and *it* and ***both*** and __b__ and _i_", "bold and it and both and b and i"),
    "emphasis in a word": ("un*frigging*believable", "unfriggingbelievable"),
    "bold over words": ("**very bold words** here", "very bold words here"),
    "bold beside CJK": ("这是**重要。**的**中文**字", "这是重要。的中文字"),
    "strikethrough": ("~~gone~~ here", "gone here"),
    "headings": ("# Title\ntext\n## Two?\nmore", "Title.\n\ntext.\n\nTwo?\n\nmore"),
    "closed heading": ("## Title ##\ntext", "Title.\n\ntext"),
    "underlined heading": ("Title\n=====\ntext", "Title.\n\ntext"),
    "bullets": ("- one\n- two.\n* three\n+ four", "one.\n\ntwo.\n\nthree.\n\nfour."),
    "bullet signs": ("• one\n•two", "one.\n\ntwo."),
    "CJK bullets": ("- 打开灯\n- 关灯", "打开灯。\n\n关灯。"),
    "list after text": ("These are on:\n- lamp\n- fan\nThat's all", "These are on:\n\nlamp.\n\nfan.\n\nThat's all"),
    "wrapped bullet": ("- one that\n  goes on\n- two", "one that goes on.\n\ntwo."),
    "numbers are said": ("1. Preheat\n2. Bake", "1. Preheat.\n\n2. Bake."),
    "a date is no list": ("5. März ist Montag.", "5. März ist Montag."),
    "tasks": ("- [ ] open\n- [x] done", "open.\n\ndone."),
    "quotes": ("> said\n> so\n\nyes", "said so.\n\nyes"),
    "table": (
        "| Name | State |\n|:--|--:|\n| Lamp | on |\n|Fan|off|\n\nEnd",
        "Name, State.\n\nLamp, on.\n\nFan, off.\n\nEnd",
    ),
    "one thing a line": ("Kitchen light is on\nFront door is open", "Kitchen light is on.\n\nFront door is open."),
    "one thing a line, with stops": ("It is on.\nIt is off!\nOk", "It is on. It is off! Ok"),
    "emoji as bullets": ("✅ milk\n✅ Eggs\n🔹 bread", "milk.\n\nEggs.\n\nbread."),
    "dashes as bullets": ("– Milk\n— Eggs", "Milk.\n\nEggs."),
    "minus signs as bullets": ("Buy:\n− Milk\n− Eggs", "Buy:\n\nMilk.\n\nEggs."),
    "keycaps as numbers": ("1️⃣ Pasta\n2️⃣ rice", "1 Pasta.\n\n2 rice."),
    "a bold line": ("**Today**\nSunny, 21 °C\n**Tomorrow**\nRain", "Today.\n\nSunny, 21 °C.\n\nTomorrow.\n\nRain."),
    "CJK lines": ("灯已打开\n门已关闭\n好", "灯已打开。\n\n门已关闭。\n\n好。"),
    "Korean and Russian lines": (
        "불을 켰어요\n문을 닫았어요\nСвет включён\nДверь",
        "불을 켰어요.\n\n문을 닫았어요.\n\nСвет включён.\n\nДверь.",
    ),
    "numbers in lines": ("Kitchen: 21 °C\nHall: 19 °C\n5 lights", "Kitchen: 21 °C.\n\nHall: 19 °C.\n\n5 lights."),
    "wrapped in lower case": ("The lights\nare on and\n*they* stay\n“so”", "The lights are on and they stay “so”"),
    "wrapped prose": (
        "The lights in the kitchen and in the hall are on since you came home with\nMary and Anne last\nnight.",
        "The lights in the kitchen and in the hall are on since you came home with Mary and Anne last night.",
    ),
    "wrapped German": (
        "Die Lampen in der Küche und im Flur brennen, seit du mit\nDonaudampfern kamst",
        "Die Lampen in der Küche und im Flur brennen, seit du mit Donaudampfern kamst",
    ),
    "a line that ends in a sentence": ("Anna,\nBob and –\nSee (\nCarl)", "Anna, Bob and – See ( Carl)"),
    "a long line, then a sign": (
        "The lights in the kitchen and in the hall are on since you came home with\n✅ Mary",
        "The lights in the kitchen and in the hall are on since you came home with.\n\nMary.",
    ),
    "wrapped CJK": (
        "今天天气很好所以今天天气很好所以今天天气很好所以今天天气很好所以\n我们出去吧",
        "今天天气很好所以今天天气很好所以今天天气很好所以今天天气很好所以 我们出去吧",
    ),
    "rule": ("one\n\n---\n\ntwo\n***\nthree", "one.\n\ntwo.\n\nthree"),
    "link": ('See [the docs](https://example.com/a_(b) "T") now', "See the docs now"),
    "link by reference": ("[text][ref] here\n\n[ref]: https://example.com", "text here."),
    "link inside bold": ("**[text](http://a.b)**, yes", "text, yes"),
    "link with a refused address": ("[text](javascript:x)", "text"),
    "image": ("![a lamp](lamp.png) is on", "a lamp is on"),
    "linked image": ("[![alt](a.png)](http://b.c) ok", "alt ok"),
    "code span": ("Call `light.turn_on` or ``a ` b``", "Call light.turn_on or a ` b"),
    "backticks in code": ("``a ```***``", "a ```***"),
    "half carriage returns": ("a\r\n\r\nb\r\n\nc", "a.\n\nb.\n\nc"),
    "marks in code": ("`a*b_c*d` and `<b>`", "a*b_c*d and <b>"),
    "fence": ("Try:\n```yaml\na: 1\n```\nDone", "Try:\n\nDone"),
    "tilde fence": ("a\n~~~\ncode\n```\ncode\n~~~~\nb", "a.\n\nb"),
    "fence in a line": ("Try: ```py\nx = 1\n```\nDone", "Try:\n\nDone"),
    "three backticks as a span": ("say ```hello``` now", "say hello now"),
    "html": ("<b>bold</b> <span class='x'>text</span><!-- no --> here", "bold text here"),
    "powers in html": (
        "10<sup>2</sup>, 85 m<sup>2</sup>, x<SUP>3</SUP>, a word<sup>2</sup>, 1<sup>st</sup>, `x<sup>2</sup>`",
        "10², 85 m², x³, a word2, 1st, x<sup>2</sup>",
    ),
    "html that breaks": ("a<br>b<br/>c<p>d</p>", "a.\n\nb.\n\nc.\n\nd."),
    "no html": ("a <placeholder> List<String> a < b, 5 > 3", "a <placeholder> List<String> a < b, 5 > 3"),
    "entities": ("AT&amp;T &lt;ok&gt; a&nbsp;b AT&T", "AT&T <ok> a b AT&T"),
    "URL": ("See https://www.home-assistant.io/docs/a_b?x=1#y.", "See home-assistant.io."),
    "URL without scheme": ("See example.com/path/to, ok", "See example.com, ok"),
    "URL in brackets": ("(https://en.wikipedia.org/wiki/Foo_(bar)) <http://a.bc/d>", "(en.wikipedia.org) a.bc"),
    "URL with a port": ("at http://192.168.1.5:8123/x", "at 192.168.1.5"),
    "URL as link text": ("[https://a.com/b](https://a.com/b)", "a.com"),
    "URL in CJK": ("访问https://home-assistant.io/docs。谢谢", "访问home-assistant.io。谢谢"),
    "mail address": ("write to me@example.com.", "write to me@example.com."),
    "emoji": ("Hi 👋 there 👩‍💻! Done 👍🏽. 🇩🇪", "Hi there! Done."),
    # An emoji has a name in each language, but no word: "red heart" would be as wrong as "love" in "❤️ to help".
    "emoji for a word": ("I ❤️ you", "I you"),
    "keycaps": ("Press 5️⃣, 🔟 or #️⃣ and *️⃣. 第1️⃣步", "Press 5, 10 or # and *. 第1步"),
    "minus signs": ("−7 °C, ‐8, –9 (–1.5) –.5 －3: 5−3 = 2", "-7 °C, -8, -9 (-1.5) -.5 -3: 5-3 = 2"),
    "hyphens": ("Wi‑Fi and twenty‐one", "Wi-Fi and twenty-one"),
    "ranges and dashes": ("10–12 °C, Mon–Fri, 5%–10%, so – 7 – ok—7", "10–12 °C, Mon–Fri, 5%–10%, so – 7 – ok—7"),
    "minus at a line": ("Now:\n−7 °C\n–8 °C", "Now: -7 °C.\n\n-8 °C."),
    "less and greater": ("a<b and b>c, x<p or p>y, 1<2", "a<b and b>c, x<p or p>y, 1<2"),
    "tags with attributes": ("a<b>c</b> <a href='x'>d</a> <input disabled> e<br clear='all'/>f", "ac d e.\n\nf"),
    "emoji in CJK": ("你好😀世界", "你好世界"),
    "stage directions": ("*laughs* Well (sighs) yes [clears throat] _nods_ ok *whispers softly*", "Well yes ok"),
    "CJK stage direction": ("你好（笑）世界", "你好世界"),
    "a stage direction is a sentence": (
        "*Opens the door slowly* Welcome! *she smiles and nods* Come in.",
        "Welcome! Come in.",
    ),
    "on a line of its own": (
        "*Slowly opens the door*\n\nwelcome.\n*waves at you*\nHow are you?",
        "welcome. How are you?",
    ),
    "at the end": ("Good night. *turns off the light and leaves*", "Good night."),
    "several": ("*Opens the door*\n*She smiles warmly.* _he nods too_ Hello.", "Hello."),
    "a participle": ("*Laughing softly and shaking her head* No. *Nothing is on* Ok", "No. Nothing is on Ok"),
    "before a quotation": ("*he looks up*“Yes?” *She laughs at him.* “No.”", "“Yes?” “No.”"),
    "in other languages": ("*öffnet langsam die Tür* Hallo. *abre la puerta* ¡Hola!", "Hallo. ¡Hola!"),
    "emphasis in a sentence": (
        "that is *really very* good, *very very* Good",
        "that is really very good, very very Good",
    ),
    "emphasis before a colon": (
        "*Important*: close it. *Things to do*: nothing.",
        "Important: close it. Things to do: nothing.",
    ),
    "an emphasised sentence": (
        "*The door is open.* *Always lock it* Now. *Press stop* Go.",
        "The door is open. Always lock it Now. Press stop Go.",
    ),
    "emphasis that a sentence begins with": (
        "*only the kitchen light* is on. *Opens soon* was said",
        "only the kitchen light is on. Opens soon was said",
    ),
    "emphasised items": ("- *turn it off* Now\n1. *Opens the door*", "turn it off Now.\n\n1. Opens the door."),
    "a text in asterisks": ("*the kitchen light is on*", "the kitchen light is on"),
    "a poem in asterisks": ("*roses are red*\n*violets are blue*", "roses are red violets are blue"),
    "an unclosed direction": ("*she smiles and", "she smiles and"),
    "no stage directions": ("*important* (at noon) [or so]", "important (at noon) [or so]"),
    "no stage direction in a name": ("light_sighs_x", "light_sighs_x"),
    "footnotes": ("A fact[^1], another[2].\n\n[^1]: The source", "A fact, another.\n\nThe source."),
    "citations": ("It rains [1]. It [2] snows [3][4], and [5] [6] hails [1, 2].", "It rains. It snows, and hails."),
    "citations in a row": ("It rains [1], [2]. Or [3]; [4] not [1-3] so [4–6]!", "It rains. Or not so!"),
    "citations at a word": ("It rains[1]. It snows[2][3], it hails[1, 2]", "It rains. It snows, it hails"),
    "citations in brackets": (
        "It rains ([1], [2]). It snows ([3]), it hails (see [1])",
        "It rains. It snows, it hails (see)",
    ),
    "citations that are links": (
        "It rains [1](http://a.b/c). It [[2](http://a.b)] snows ([3](http://a.b), [4](http://b.c))",
        "It rains. It snows",
    ),
    "doubled brackets": ("It rains [[1]]. It snows [[2]](http://a.b)", "It rains. It snows"),
    "citations in wide brackets": ("It rains 【1†source】. It snows【4:0†the source】, ok", "It rains. It snows, ok"),
    "citations in CJK": ("下雨[1][2]。下雪 [3]。冰雹【3†来源】，好", "下雨。下雪。冰雹，好"),
    "only a citation after a stop": ("It rains. [1] It snows.[2][3] Ok", "It rains. It snows. Ok"),
    "numbers in brackets count lines": ("[1] Milk.\n[2] Eggs.\n- [3] Bread", "[1] Milk. [2] Eggs.\n\n[3] Bread."),
    "an index in code": ("Use `a[1]` or `a[1][2]` and `[1, 2]`", "Use a[1] or a[1][2] and [1, 2]"),
    "a link by a numbered reference": ("[text][2] and [the text][12]", "text and the text"),
    "no citations": ("in [2024] and [1234](http://a.b) [a1] [one]", "in [2024] and 1234 [a1] [one]"),
    "control characters": ("a\x00b \x1b[1mc\ud83d\u200b d\ufeff", "ab [1mc d"),
    "names": ("light.kitchen_lamp snake_case __init__", "light.kitchen_lamp snake_case init"),
    "arithmetic": ("2 * 3 * 4 = 2*3*4, 10 - 3, 5 + 5", "2 * 3 * 4 = 2*3*4, 10 - 3, 5 + 5"),
    "signs": ("C# AT&T 10:30 21 °C 50% ~5 km $3 #1 sh*t", "C# AT&T 10:30 21 °C 50% ~5 km $3 #1 sh*t"),
    "negative number": ("-5 degrees", "-5 degrees"),
    "smart quotes": ("“Yes,” she said – ‘ok’ …", "“Yes,” she said – ‘ok’ …"),
    "escapes": (r"\*not\* 1\. \# x", "not 1. # x"),
    "formulas": (r"So \(x^2\) is $\frac{1}{2}$, and \[ E = mc^2 \] holds.", "So x² is 1/2, and E = mc² holds."),
    "formulas in dollars": (
        r"It is $25^\circ$ C, an $x$-axis ($y=2$), $5 = 2+3$, $42$ or $2x - 1$",
        "It is 25° C, an x-axis (y=2), 5 = 2+3, 42 or 2x - 1",
    ),
    "formulas of lines": ("$$\na+b\n$$\nDone\n\n\\[\nx = 1 \\\\\ny\n\\]", "a+b.\n\nDone.\n\nx = 1, y"),
    "formulas in a word": (r"H$_2$O at 25$^\circ$C", "H2O at 25°C"),
    "formulas without marks": (
        r"So \boxed{\frac{1}{2}}, **\frac{a}{b}** at 25^\circ C or 25^{\circ}",
        "So 1/2, a/b at 25° C or 25°",
    ),
    "formulas with marks": (r"**$x_1$** is $a*b*c$, [$x$](http://a.b) \(a_b [1]\)", "x1 is a*b*c, x ab [1]"),
    "money": (
        "It costs $5 and $10, $5-$10, or 10$ today; US$5, R$ 5, $5.",
        "It costs $5 and $10, $5-$10, or 10$ today; US$5, R$ 5, $5.",
    ),
    "more money": ("$3M to $5M, $3/kg or $4/kg, $5 + $6, $5,$6", "$3M to $5M, $3/kg or $4/kg, $5 + $6, $5,$6"),
    "no formulas": ("`$x$` and $HOME/bin:$PATH and $HOME", "$x$ and $HOME/bin:$PATH and $HOME"),
    "unclosed formulas": (r"$x + y \(a + b \[c", "$x + y (a + b [c"),
    "unclosed bold": ("**bold never closed", "bold never closed"),
    "unclosed code": ("a `code never closed", "a code never closed"),
    "unclosed fence": ("Look:\n```py\nx = 1", "Look:"),
    "unclosed link": ("see [text](http://exa", "see text"),
    "unclosed bracket": ("see [text and", "see [text and"),
    "unclosed tag": ("a <b and more", "a <b and more"),
    "unclosed stage direction": ("(sighs and goes", "(sighs and goes"),
    "emoji alone": ("😀🎉", ""),
    "dots alone": ("...", "..."),
    "marks alone": ("***", ""),
    "empty": ("", ""),
    "Arabic": ("كيف حالك؟ **بخير**", "كيف حالك؟ بخير"),
}


@pytest.mark.parametrize(("text", "said"), CASES.values(), ids=CASES)
def test_says(text: str, said: str) -> None:
    assert clean(text) == said


@pytest.mark.parametrize("text", [text for text, _ in CASES.values()], ids=CASES)
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_pieces_of_any_size_clean_alike(text: str, size: int) -> None:
    assert clean(*(text[i : i + size] for i in range(0, len(text), size))) == clean(text)


FRAGMENTS = st.sampled_from(
    [
        *("$", "$5", "$x", "$$", "x^2", "\\(", "\\)", "\\[", "\\]", "\\frac{1}{2}", "= 1", "{", "}"),
        *("*she smiles* ", "*Opens the door*", "_he nods", "*is on* ", "A", "He"),
        *(
            "*",
            "**",
            "***",
            "_",
            "__",
            "~~",
            "~~~",
            "`",
            "``",
            "```",
            "\n```",
            "\n~~~",
            "\\",
            "#",
            "\n# ",
            "\n-",
            "\n* ",
        ),
        *(
            "\n> ",
            "|",
            "\n| ",
            "|-",
            "---",
            "===",
            "1.",
            "\n2) ",
            "[",
            "]",
            "(",
            ")",
            "![",
            "](",
            "[^1]",
            "[x](y)",
            "【1】",
            "[1]",
            "[2, 3]",
            "([4]",
            "【5†a】",
        ),
        *("<", ">", "</b>", "<b>", "<br>", "<br/>", "<!--", "-->", "<https://a.b>", "&", ";", "&amp;", "&#0;"),
        *("http://", "https://a.io/b_c", "www.", ".com", "x@y.z", "a.it/b", "(sighs)", "*laughs*", "*laugh", "sighs"),
        *(
            "[clears throat",
            "（笑）",
            "👩",
            "\u200d",
            "💻",
            "\ufe0f",
            "🇩",
            "🇪",
            "1",
            "\u20e3",
            "\x00",
            "\ud83d",
            "\u0301",
        ),
        *(
            " ",
            " ",
            " ",
            "\n",
            "\n\n",
            "\r\n",
            "\r",
            "\u00a0",
            "\t",
            ".",
            ",",
            "!",
            "?",
            ":",
            "…",
            "。",
            "，",
            "「",
            "」",
        ),
        *("<think>", "</think>", "\n</think>\n", "[THINK]", "[/THINK]", "<tool_call>", "</tool_call>", "<|im_end|>"),
        *("<|channel|>analysis<|message|>", "<|channel|>final<|message|>", "<|end|>", "<|start|>assistant", "[INST]"),
        *('{"name": "x", ', '"arguments": {', '[{"', "}", '"', "<s>", "</s>"),
        *("a", "b1", "word", "你", "好", "3.14", "é", "ß", "ы"),
    ]
)
NASTY = st.lists(FRAGMENTS, max_size=30).map("".join)


def split(text: str, cuts: list[int]) -> list[str]:
    edges = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    return [text[a:b] for a, b in pairwise(edges)]


CUTS = st.lists(st.integers(0, 200), max_size=8)


@tried(400)
@given(NASTY, CUTS, st.booleans())
def test_any_split_cleans_alike(text: str, cuts: list[int], markdown: bool) -> None:
    whole = clean(text, markdown=markdown)
    assert clean(*split(text, cuts), markdown=markdown) == whole
    assert clean(*text, markdown=markdown) == whole


@tried(100)
@given(st.text(st.characters(categories=["Ll", "Lu", "Lo", "Nd", "Zs"]) | st.sampled_from("\n.,!?'()"), max_size=300))
def test_plain_text_loses_no_letters(text: str) -> None:
    said = clean(text)
    assert [c for c in said if c.isalnum()] == [c for c in text if c.isalnum()]


@tried(100)
@given(NASTY)
def test_nothing_unspoken_comes_out(text: str) -> None:
    said = clean(text)
    assert not set(said) & set("\x00\r\t\ud83d\u200d\ufe0f👩💻🇩🇪")
    assert "   " not in said
    assert said == said.strip()


@pytest.mark.parametrize(
    "opener",
    ["`", "[", "[a](", "<", "<!--", "(sighs ", "*laughs ", "**", "```", "|", "# ", "- ", "$x ", "$$", "\\(", "\\["],
)
def test_an_opener_holds_back_a_bounded_text(opener: str) -> None:
    """What is not closed soon is text, though the line goes on and on."""
    cleaner = Cleaner()
    said = text_of(cleaner.feed(opener + "word " * 400))
    assert len(said) > 500


def test_words_come_out_as_soon_as_they_are_complete() -> None:
    cleaner = Cleaner()
    assert [text_of(cleaner.feed(piece)) for piece in ("Hel", "lo wo", "rld, ", "**so", " be", " it**.")] == [
        "", "Hello", " world,", "", " so", " be",
    ]  # fmt: skip
    assert cleaner.finish() == [" it."]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("It is done.", "It is done."),
        ("It is do", "It is do."),
        ("It is 3.", "It is 3."),
        ("- Milk", "Milk."),
        ("今天", "今天。"),
        ("It is (sighs", "It is."),
        ("Call `light.turn", "Call."),
        ("Is <b", "Is."),
        ("```py\nx", ""),
        ("", ""),
    ],
)
def test_flush_says_all_but_open_markup_as_the_end_of_a_block(text: str, said: str) -> None:
    cleaner = Cleaner()
    assert text_of(cleaner.feed(text) + cleaner.flush()) == said
    assert cleaner.flush() == []


def test_flush_leaves_open_markup_and_code_open() -> None:
    cleaner = Cleaner()
    said = cleaner.feed("See [the") + cleaner.flush() + cleaner.feed(" docs](https://x.y) now") + cleaner.finish()
    assert text_of(said) == "See.\n\nthe docs now"
    cleaner = Cleaner()
    said = cleaner.feed("So:\n```\nx") + cleaner.flush() + cleaner.feed("\ny\n```\nDone.") + cleaner.finish()
    assert text_of(said) == "So:\n\nDone."


def test_without_markdown_only_characters_are_cleaned() -> None:
    assert clean("*a*  `b` 😀 <c>\x00 [d](e)", markdown=False) == "*a* `b` <c> [d](e)"

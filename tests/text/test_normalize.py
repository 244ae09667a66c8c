"""Numbers, units, money, dates, times, signs and abbreviations are written as a native speaker reads them out."""

import re
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import tried
from wyoming_qwen3.core.request import Normalization
from wyoming_qwen3.core.speakers import LANGUAGES, Language, find_language
from wyoming_qwen3.text.normalize import Mode, mode_for, normalize, open_from, prepare

MODES: tuple[Mode, ...] = ("units", "all")
TEXTS = Path(__file__).parent / "spoken_texts"


def language(code: str) -> Language:
    found = find_language(code)
    assert found
    return found


def said(code: str, text: str, mode: Mode = "all") -> str:
    return normalize(text, language(code), mode)


def rows(name: str) -> list[list[str]]:
    """The rows of a file: tabs are between cells, and \\n is a new line."""
    lines = (TEXTS / name).read_text(encoding="utf-8").splitlines()
    return [[cell.replace("\\n", "\n") for cell in line.split("\t")] for line in lines]


def spoken_texts() -> list[tuple[str, str, Mode, str]]:
    """The texts of all languages with their expected words; English and Chinese ones have those of `units` too."""
    found: list[tuple[str, str, Mode, str]] = []
    for each in LANGUAGES:
        for text, *expected in rows(f"{each.code}.tsv"):
            found += [(each.code, text, mode, words) for mode, words in zip(reversed(MODES), expected, strict=False)]
    return found


def kinds() -> list[tuple[str, str, str]]:
    """Each kind of expression in four languages: language, text, expected words."""
    (_, _, *codes), *each = rows("kinds.tsv")
    return [(code, text, words) for _, text, *all_words in each for code, words in zip(codes, all_words, strict=True)]


SPOKEN_TEXTS = spoken_texts()


@pytest.mark.parametrize(("code", "text", "mode", "expected"), SPOKEN_TEXTS)
def test_a_text_is_read_out(code: str, text: str, mode: Mode, expected: str) -> None:
    assert said(code, text, mode) == expected


def test_there_are_thirty_texts_in_each_language() -> None:
    codes = [code for code, _, mode, _ in SPOKEN_TEXTS if mode == "all"]
    assert all(codes.count(each.code) >= 30 for each in LANGUAGES)


@pytest.mark.parametrize(("code", "text", "expected"), kinds())
def test_each_kind_is_written_in_words(code: str, text: str, expected: str) -> None:
    assert said(code, text) == expected


@pytest.mark.parametrize(("code", "text", "expected"), rows("agreement.tsv")[1:])
def test_words_agree(code: str, text: str, expected: str) -> None:
    assert said(code, text) == expected


WRITTEN = [(code, text, words) for _, code, text, words in rows("written.tsv")[1:]]
"""What assistants and templates write: one text for each kind and language in which it once was read wrongly."""


@pytest.mark.parametrize(("code", "text", "expected"), WRITTEN)
def test_what_assistants_write_is_read_out(code: str, text: str, expected: str) -> None:
    assert said(code, text) == expected


@pytest.mark.parametrize(("code", "text", "expected"), WRITTEN)
def test_what_assistants_write_is_read_out_as_it_arrives(code: str, text: str, expected: str) -> None:
    held, out = "", ""
    for word in re.findall(r"[⺀-鿿぀-ヿ]|[^\s⺀-鿿぀-ヿ]+\s*|\s+", text):
        held += word
        cut = open_from(held, language(code))
        out, held = out + said(code, held[:cut]), held[cut:]
    assert out + said(code, held) == expected


@pytest.mark.parametrize(("code", "text", "expected"), WRITTEN)
def test_what_assistants_write_is_normalized_once(code: str, text: str, expected: str) -> None:
    units = said(code, text, "units")
    assert said(code, units, "units") == units
    assert said(code, expected) == expected


SYMBOLS = """°C °F K % ppm ppb mW W kW MW GW TW BTU/h µV mV V kV MV mA A mVA VA kVA mvar var kvar varh kvarh mWh Wh kWh
MWh GWh TWh J kJ MJ GJ cal kcal Mcal Gcal Wh/km kWh/100km mi/kWh km/kWh Hz kHz MHz GHz mPa Pa hPa kPa MPa bar cbar mbar
mmHg inHg inH₂O psi lx W/m² BTU/(h⋅ft²) mm/h mm/d in/h in/d mm cm m km in ft yd mi nmi mm² cm² m² km² in² ft² yd² mi² ac
ha mL L m³ cm³ ft³ CCF MCF gal m³/h m³/min m³/s ft³/min L/h L/min L/s mL/s gal/min gal/h gal/d µg mg g kg oz lb st t µs
ms s min h d m/s m/min km/h mph kn ft/s mm/s in/s bit kbit Mbit Gbit B kB MB GB TB PB EB ZB YB KiB MiB GiB TiB PiB EiB
ZiB YiB bit/s kbit/s Mbit/s Gbit/s B/s kB/s MB/s GB/s KiB/s MiB/s GiB/s µg/m³ mg/m³ g/m³ µg/ft³ p/m³ dB dBA dBm S/cm
mS/cm µS/cm mg/dL mmol/L rpm ° Ω kΩ Bq/m³ µSv/h €/kWh""".split()
"""Units that sensors of Home Assistant report, and a few that others do."""


@pytest.mark.parametrize("code", [each.code for each in LANGUAGES])
def test_the_units_of_sensors_are_known(code: str) -> None:
    same = {"m", "bar", "bit", "var", "d", "gal"}  # beginnings of words in some language
    for symbol in (*SYMBOLS, "fl. oz.", "L/100 km"):
        words = said(code, f"5 {symbol}")
        assert "/" not in words, symbol
        assert symbol in same or not re.search(rf"(?<![A-Za-z]){re.escape(symbol)}(?![A-Za-z])", words), symbol
        assert not words.endswith(f" {symbol}") or symbol in same, symbol


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("code", [each.code for each in LANGUAGES])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "Nothing here, is there? “No.” – Good…",
        "Ludwig XIV und Henry VIII",
        "C++ and a+b",
        "これは文です。",
        "이것은 문장입니다.",
        "这是一句话。",
        "Это предложение.",
        "emoji 🎉 and ﷽",
    ],
)
def test_other_text_is_left_as_it_is(text: str, code: str, mode: Mode) -> None:
    assert said(code, text, mode) == text


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        ("en", "21.5 °C, 5 apples, 1984", "21.5 degrees Celsius, 5 apples, 1984"),
        ("en", "1st, 22nd, the 1990s, the '90s, 3:2, A4", "1st, 22nd, the 1990s, the '90s, 3:2, A4"),
        ("en", "$5, -3, #7, 10–12", "5 dollars, minus 3, number 7, 10 to 12"),
        ("de", "21.5 °C und 1.234 kWh", "21,5 Grad Celsius und 1234 Kilowattstunden"),
        ("zh", "45%和2026年5月3日", "百分之45和2026年5月3日"),
    ],
)
def test_units_leaves_plain_numbers(code: str, text: str, expected: str) -> None:
    assert said(code, text, "units") == expected


PARTS = [
    *"""1 2 21 0.5 1,5 1.234 1.234,5 2026 1990s 14:30 pm PM p.m. - – — ~ ± ≤ < = + × x / & % ‰ °C ° km km/h kWh m² € $
    £ EUR No. Nr. n° z. B. Dr. M. Abc und the am der 3. Mai May 29 November # № § ½ ¾ . , : ( ) … ’ 年 月 日 개 시 Mio.
    млн руб. г. с до от ч in st th 1st er º ª e code PIN 192.168.1.1 +49 0170 555-1234 T 2026-11-29 11/29/2026 λ ① ٣ 𝟘
    ² √ 는 이""".split(),
    *[" "] * 30,
    "\u00a0",
    "\n",
]


@tried(300)
@given(st.lists(st.sampled_from(PARTS), max_size=10).map("".join), st.sampled_from(LANGUAGES), st.sampled_from(MODES))
def test_normalized_text_does_not_change(text: str, spoken: Language, mode: Mode) -> None:
    once = normalize(text, spoken, mode)
    assert normalize(once, spoken, mode) == once


@tried(200)
@given(st.text(max_size=60), st.sampled_from(LANGUAGES), st.sampled_from(MODES))
def test_nothing_fails_for_any_text(text: str, spoken: Language, mode: Mode) -> None:
    normalize(text, spoken, mode)
    assert 0 <= open_from(text, spoken) <= len(text)


@tried(200)
@given(st.lists(st.sampled_from([*PARTS, "Zanbrel"]), max_size=12), st.sampled_from(LANGUAGES), st.sampled_from(MODES))
def test_no_word_is_lost(parts: list[str], spoken: Language, mode: Mode) -> None:
    assert normalize(" ".join(parts), spoken, mode).count("Zanbrel") == parts.count("Zanbrel")


@pytest.mark.parametrize("step", [1, 3, 7])
@pytest.mark.parametrize(("code", "text", "mode", "expected"), SPOKEN_TEXTS)
def test_parts_cut_where_nothing_is_open_give_the_same(
    code: str, text: str, mode: Mode, expected: str, step: int
) -> None:
    held, out = "", ""
    for at in range(0, len(text), step):
        held += text[at : at + step]
        if _is_within_word(code, text, at + step):
            continue
        cut = open_from(held, language(code))
        assert len(held) - cut <= 40
        out, held = out + said(code, held[:cut], mode), held[cut:]
    assert out + said(code, held, mode) == expected


def _is_within_word(code: str, text: str, at: int) -> bool:
    return code not in ("ja", "zh") and text[at - 1 : at].isalpha() and text[at : at + 1].isalnum()


@pytest.mark.parametrize(
    ("code", "text", "waits"),
    [
        ("en", "It is warm", ""),
        ("en", "It is 21", "21"),
        ("en", "It is 21.5 ", "21.5 "),
        ("en", "It is 21.5 °C ", "21.5 °C "),
        ("en", "It is 21 apples and", ""),
        ("en", "It costs $", "$"),
        ("en", "Your code is", "code is"),
        ("de", "Es kostet 1,5 Mio. ", "1,5 Mio. "),
        ("de", "Er kommt am 3. Mai", "am 3. Mai"),
        ("zh", "温度21.5", "21.5"),
        ("zh", "验证码是", "验证码是"),
        ("en", "1 2 3 4 5 6 7 8 9 " * 20, "5 6 7 8 9 1 2 3 4 5 6 7 8 9 "),
    ],
)
def test_what_may_go_on_waits(code: str, text: str, waits: str) -> None:
    assert text[open_from(text, language(code)) :].endswith(waits)
    assert len(text) - open_from(text, language(code)) <= max(len(waits), 40 * (len(text) > 40))


@pytest.mark.parametrize(
    ("setting", "code", "standby", "expected"),
    [
        ("auto", "en", False, "units"),
        ("auto", "zh", False, "units"),
        ("auto", "de", False, "all"),
        ("auto", "en", True, "all"),
        ("auto", None, True, None),
        ("units", "de", True, "units"),
        ("all", "zh", False, "all"),
        ("all", None, False, None),
        ("off", "de", True, None),
    ],
)
def test_the_mode_depends_on_setting_language_and_voice(
    setting: Normalization, code: str | None, standby: bool, expected: Mode | None
) -> None:
    assert setting in get_args(Normalization)
    assert mode_for(setting, language(code) if code else None, standby=standby) == expected


def test_a_language_can_be_prepared() -> None:
    for each in LANGUAGES:
        prepare(each)

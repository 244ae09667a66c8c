"""Dictionaries as files: CSV that people edit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.text.dictionary import Entry, make_entry
from wyoming_qwen3.text.dictionary_table import (
    MAX_ENTRIES,
    MAX_EXPRESSIONS,
    DictionaryTable,
    read_table,
    table_of,
)

FILE = """\
# Our names
written,spoken,language,match,case
HA,Home Assistant

# by Anna
Nguyen, Win ,English,word,yes
"(\\d+) ?kWp","\\1 Kilowatt, Peak",de,regex
um,
"""
ENTRIES = [
    make_entry("HA", "Home Assistant"),
    make_entry("Nguyen", "Win", "en", case=True),
    make_entry(r"(\d+) ?kWp", r"\1 Kilowatt, Peak", "de", "regex"),
    make_entry("um", ""),
]


def read(text: str) -> DictionaryTable:
    return read_table(text.encode())


def told(text: str) -> list[tuple[int, str]]:
    return [(problem.line, problem.message) for problem in read(text).problems]


@pytest.mark.parametrize(
    "text",
    [
        FILE,
        FILE.replace("\n", "\r\n"),
        FILE.rstrip(),
        "\ufeff" + FILE,
        "\n".join(line for line in FILE.splitlines() if not line.startswith("written")),
    ],
)
def test_a_file_is_read(text: str) -> None:
    table = read(text)
    assert table.entries == ENTRIES
    assert table.problems == ()


def test_a_spreadsheet_may_separate_otherwise_and_have_other_columns() -> None:
    table = read('Case;Spoken;Written\nyes;"a;b";X\n;c;"#y"\n')
    assert table.entries == [make_entry("X", "a;b", case=True), make_entry("#y", "c")]
    assert read("written\tspoken\na\tb, c\n").entries == [make_entry("a", "b, c")]


def test_lines_that_cannot_be_used_are_told_and_the_others_are_used() -> None:
    text = (
        "written,spoken,languge,match,case\nHA,Home Assistant\n(,x,,regex\nDe,x,,,maybe\nalone\n"
        'a,b,c,d,e,f,g\n"x,y\nha,again\nTV,tee vee\n,empty\nx,y,,fuzzy\n'
    )
    table = read(text)
    assert [entry.written for entry in table.entries] == ["HA", "TV"]
    columns = "written, spoken, language, match, case"
    assert [(problem.line, problem.message) for problem in table.problems] == [
        (1, f"There is no column 'languge'; there are {columns}."),
        (3, "The regular expression is not valid: missing ) at position 1."),
        (4, "case must be yes or no, not 'maybe'."),
        (5, "What is spoken is missing; write it after a comma, or a comma alone for silence."),
        (
            6,
            "It has 7 values, but there are 6 columns; put a value with a comma in it between double quotes.",
        ),
        (7, "The quotes are wrong: unexpected end of data."),
        (8, "Line 2 has the same already."),
        (10, "What is written is empty; write the word to replace."),
        (11, "match must be word or regex, not 'fuzzy'."),
    ]


def test_what_is_not_utf_8_is_told_with_its_line() -> None:
    with pytest.raises(InvalidRequest, match=r"^Line 2 is not UTF-8; save the file as UTF-8\.$"):
        read_table("written,spoken\nTür,x\n".encode("latin-1"))


def test_all_problems_are_one_error_of_five_sentences() -> None:
    read(FILE).check()
    with pytest.raises(InvalidRequest) as error:
        read("(,x,,regex\n" * 7).check()
    assert str(error.value).count("Line ") == 5
    assert str(error.value).endswith(" 2 more lines can't be used.")


def test_there_is_a_limit_for_entries_and_expressions() -> None:
    many = read("".join(f"w{number},x\n" for number in range(MAX_ENTRIES + 2)))
    assert len(many.entries) == MAX_ENTRIES
    assert [problem.line for problem in many.problems] == [MAX_ENTRIES + 1, MAX_ENTRIES + 2]
    expressions = read("".join(f"w{number},x,,regex\n" for number in range(MAX_EXPRESSIONS + 1)) + "w,x\n")
    assert len(expressions.entries) == MAX_EXPRESSIONS + 1
    assert len(expressions.problems) == 1
    with pytest.raises(InvalidRequest, match="at most 5,000 entries, of which 200"):
        many.merged([make_entry("one", "more")])
    with pytest.raises(InvalidRequest, match="at most 5,000 entries, of which 200"):
        expressions.merged([make_entry("more", "x", match="regex")])


def test_a_change_leaves_every_other_line_as_it_is() -> None:
    table = read('# mine\nHA,Home Assistant\n\nbad\nNguyen,"Win"  # ,\nTV,tee vee\n'.replace("  # ,", ""))
    nguyen = table.entries[1]
    table = table.changed(nguyen.id, make_entry("Nguyen", "Wen", "en"))
    assert table.to_csv().decode() == "# mine\nHA,Home Assistant\n\nbad\nNguyen,Wen,en\nTV,tee vee\n"
    table = table.without(table.entries[0].id).merged([make_entry("tv", "telly"), make_entry("A", "B")])
    assert table.to_csv().decode() == "# mine\n\nbad\nNguyen,Wen,en\ntv,telly\nA,B\n"


def test_a_change_adds_the_columns_that_the_file_lacks() -> None:
    table = read("spoken;written\nx;a\n").merged([make_entry("b", "y;z", "de", case=True)])
    assert table.to_csv().decode() == 'spoken;written;language;match;case\nx;a\n"y;z";b;de;;yes\n'
    assert read_table(table.to_csv()).entries == table.entries


def test_a_new_file_says_what_it_is() -> None:
    about, columns, entry = table_of([make_entry("a", "b")]).to_csv().decode().splitlines()
    assert about.startswith("# ")
    assert (columns, entry) == ("written,spoken,language,match,case", "a,b")


def test_two_entries_for_the_same_words_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="two entries for 'ha'"):
        table_of([make_entry("HA", "x"), make_entry("ha", "y")])


WORDS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=8)
LANGUAGES = st.sampled_from([None, "de", "zh"])


@st.composite
def entry(draw: st.DrawFn) -> Entry:
    written = draw(WORDS.filter(lambda text: bool(text.strip())) | st.sampled_from(["#1", '"', ",", ";", "'", "=1"]))
    return make_entry(written, draw(WORDS), draw(LANGUAGES), case=draw(st.booleans()))


@given(st.lists(entry(), unique_by=lambda one: one.id))
def test_what_is_written_is_read_again(entries: list[Entry]) -> None:
    table = read_table(table_of(entries).to_csv())
    assert table.problems == ()
    assert table.entries == entries

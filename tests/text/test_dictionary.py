"""What entries of a pronunciation dictionary do to a text."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wyoming_qwen3.core.errors import InvalidRequest, LanguageNotSupported
from wyoming_qwen3.core.speakers import LANGUAGES, Language, find_language
from wyoming_qwen3.text.dictionary import Dictionary, Entry, MatchKind, fold, make_entry

CATASTROPHE = r"(.*?,){25}z"
COMMAS = "a, " * 60


def word(written: str, spoken: str, language: str | None = None, *, case: bool = False) -> Entry:
    return make_entry(written, spoken, language, case=case)


def expression(written: str, spoken: str, language: str | None = None, *, case: bool = False) -> Entry:
    return make_entry(written, spoken, language, "regex", case=case)


def rewritten(text: str, *entries: Entry, language: Language | None = None) -> str:
    return Dictionary(entries).rewrite(text, language).text


@pytest.mark.parametrize(
    ("written", "spoken", "text", "heard"),
    [
        # English: whole words, in any case, beside any sign.
        (
            "HA",
            "Home Assistant",
            "HA is up, says ha. (HA!)",
            "Home Assistant is up, says Home Assistant. (Home Assistant!)",
        ),
        ("HA", "Home Assistant", "AHA, HAL, 3HA and HA3", "AHA, HAL, 3HA and HA3"),
        ("HA", "Home Assistant", "HA-server and the HA_x", "Home Assistant-server and the Home Assistant_x"),
        ("Nguyen", "Win", "Nguyen's car, Nguyen’s house", "Win's car, Win’s house"),
        ("don't", "do not", "I don't, you DON’T", "I do not, you do not"),
        ("don’t", "do not", "I don't", "I do not"),
        ("home assistant", "the house", "My Home\u00a0Assistant's home assistants", "My the house's home assistants"),
        ("C++", "see plus plus", "C++ and C", "see plus plus and C"),
        (".NET", "dot net", "In .NET and in asp.net", "In dot net and in aspdot net"),
        ("e-mail", "mail", "An e-mail, an E-Mail.", "An mail, an mail."),
        ("&", "and", "you & me", "you and me"),
        # Numbers are whole too.
        ("5", "five", "5, 15, 5.5, 2:05, 5 and 5G", "five, 15, 5.5, 2:05, five and 5G"),
        ("3.5", "three and a half", "3.5 of 13.5, 3.55", "three and a half of 13.5, 3.55"),
        ("24/7", "all the time", "24/7.", "all the time."),
        # German
        ("Tür", "Tühr", "Die TÜR, die Tu\u0308r, die Türen", "Die Tühr, die Tühr, die Türen"),
        ("Größe", "Gröhse", "GRÖßE", "Gröhse"),
        ("z. B.", "zum Beispiel", "Also z. B. so", "Also zum Beispiel so"),
        # French, Italian: an elision is a border.
        ("Hue", "iou", "l'Hue, d’Hue, les hues", "l'iou, d’iou, les hues"),
        ("aujourd'hui", "ce jour", "aujourd’hui", "ce jour"),
        ("Élan", "élanne", "L'ÉLAN", "L'élanne"),
        ("Wi-Fi", "uàifai", "dell'Wi-Fi", "dell'uàifai"),
        # Spanish, Portuguese
        ("año", "anio", "¿Año? ¡año! años", "¿anio? ¡anio! años"),
        ("São", "Sao", "SÃO Paulo", "Sao Paulo"),
        # Russian
        ("Ёж", "йож", "ёж, ежи, ЁЖ.", "йож, ежи, йож."),
        ("дом", "домик", "дом домой", "домик домой"),
        # Chinese and Japanese have no spaces.
        ("行", "航", "银行在这里", "银航在这里"),
        ("重庆", "虫庆", "我在重庆市", "我在虫庆市"),
        ("HA", "智能家居", "打开HA面板", "打开智能家居面板"),
        ("3月", "さんがつ", "3月と13月", "さんがつと13月"),
        ("今日", "きょう", "今日は今日です", "きょうはきょうです"),
        ("サーバー", "さあばあ", "ホームサーバーが", "ホームさあばあが"),
        # Korean appends particles.
        ("홈", "집", "홈에서는 홈이 홈. 홈페이지", "집에서는 집이 집. 홈페이지"),
        ("스마트 홈", "집", "스마트 홈으로 스마트 홈즈", "집으로 스마트 홈즈"),
        ("HA", "집", "HA를 HA에서", "집를 집에서"),
        # Nothing is heard.
        ("um", "", "um, well, um so um.", ", well, so."),
        ("um", "", "Um so", "so"),
        ("嗯", "", "嗯，好嗯。", "，好。"),
    ],
)
def test_whole_words(written: str, spoken: str, text: str, heard: str) -> None:
    assert rewritten(text, word(written, spoken)) == heard


def test_case_counts_where_it_is_wanted() -> None:
    entries = (word("US", "United States", case=True), word("Polish", "Poles'", case=True), word("polish", "shine"))
    assert rewritten("US us Us Polish polish POLISH", *entries) == "United States us Us Poles' shine shine"


def test_the_longest_words_win_and_no_replacement_is_replaced() -> None:
    entries = (word("Home", "Haus"), word("Home Assistant", "Home"), word("Haus", "Maus"), word("Assistant", "x"))
    assert rewritten("Home Assistant Home Haus", *entries) == "Home Haus Maus"


def test_entries_of_a_language_apply_only_where_that_is_known() -> None:
    entries = (word("Chat", "tchatte", "fr"), word("chat", "katze", "German"), word("live", "laif"))
    dictionary = Dictionary(entries)
    heard = {code: dictionary.rewrite("chat live", find_language(code)).text for code in ("fr", "de", "en", "auto")}
    assert heard == {"fr": "tchatte laif", "de": "katze laif", "en": "chat laif", "auto": "chat laif"}


def test_an_entry_of_the_language_has_precedence() -> None:
    entries = (word("gif", "jif"), word("gif", "ghif", "de"))
    assert rewritten("GIF", *entries, language=find_language("de")) == "ghif"
    assert rewritten("GIF", *entries, language=find_language("en")) == "jif"


def test_expressions_apply_in_their_order_before_words() -> None:
    entries = (word("kWp", "x"), expression(r"(\d+) ?kWp", r"\1 Kilowatt Peak"), expression(r"\d+", "viele"))
    assert rewritten("12 kWp, 3 m, kWp", *entries) == "12 Kilowatt Peak, viele m, x"


def test_an_expression_sees_the_text_around_it_and_its_groups() -> None:
    entries = (expression(r"(?<=No\. )(?P<n>\d)(b)?", r"<\g<n>\2>"), expression("ROOM", "Raum", case=True))
    assert rewritten("No. 5 and No. 6b, 7 room ROOM", *entries) == "No. <5> and No. <6b>, 7 room Raum"


def test_an_expression_may_remove_and_matches_nothing_empty() -> None:
    assert rewritten("v1.2 is v3 now", expression(r"v\d\b|(?=n)", "")) == "v1.2 is now".replace("v1.2", ".2")


def test_what_was_applied_is_told_each_time() -> None:
    entries = [word("a", "x"), word("b", "y"), expression("c+", "z")]
    applied = Dictionary(entries).rewrite("a b a ccc", None).applied
    assert applied == tuple(entries[index].id for index in (0, 1, 0, 2))


def test_an_expression_that_takes_too_long_is_skipped_and_told() -> None:
    slow, after = expression(CATASTROPHE, "?"), expression("b$", "c")
    rewriting = Dictionary([slow, after, word("a", "x")]).rewrite(COMMAS + "b", None)
    assert rewriting.text == COMMAS.replace("a", "x") + "c"
    assert rewriting.late.keys() == {slow.id}
    assert "took too long" in rewriting.late[slow.id]


def test_a_text_has_a_limit_for_all_expressions() -> None:
    """Each takes a millisecond; after the fourth there is no time left."""
    slow = [expression(CATASTROPHE + f"{number}", "?") for number in range(8)]
    last = expression("b$", "c")
    rewriting = Dictionary([*slow, last]).rewrite(COMMAS + "b", None)
    assert rewriting.text == COMMAS + "b"
    assert rewriting.late.keys() == {entry.id for entry in (*slow, last)}
    assert "before it took all of the time" in rewriting.late[last.id]


@pytest.mark.parametrize(
    ("written", "spoken", "match", "says"),
    [
        (" ", "x", "word", "What is written is empty"),
        ("a" * 201, "x", "word", "What is written has 201 characters, but at most 200 are allowed."),
        ("a", "x" * 201, "word", "What is spoken has 201 characters"),
        ("a\nb", "x", "word", "What is written must be one line"),
        ("a", "x\0", "word", "What is spoken must be one line"),
        ("a", "\ud800", "word", "What is spoken must be one line"),
        ("(", "x", "regex", "The regular expression is not valid: missing )"),
        ("^?{9d<b|+<", "x", "regex", "The regular expression is not valid"),
        ("x*", "y", "regex", "The regular expression must not match empty text"),
        ("(?R)|a", "y", "regex", "The regular expression calls itself without end"),
        ("x", r"\1", "regex", "What is spoken has a wrong reference"),
        ("(?x)x # (y)", r"\1", "regex", "What is spoken has a wrong reference"),
        ("(?P<a>x)", r"\g<b>", "regex", "What is spoken has a wrong reference"),
        ("x", "\\", "regex", "What is spoken has a wrong reference"),
    ],
)
def test_what_can_be_no_entry_is_one_sentence(written: str, spoken: str, match: MatchKind, says: str) -> None:
    with pytest.raises(InvalidRequest, match="^" + says.replace("(", r"\(").replace(")", r"\)")):
        make_entry(written, spoken, match=match)


def test_a_language_is_a_code_or_a_name() -> None:
    assert [word("a", "b", name).language for name in ("de", "German", "de-CH", "Auto", "", " ")] == [
        *["de"] * 3,
        *[None] * 3,
    ]
    with pytest.raises(LanguageNotSupported):
        word("a", "b", "Klingon")


def test_entries_for_the_same_words_have_the_same_id_whatever_is_spoken() -> None:
    ids = {entry.id for entry in (word("HA", "a"), word("ha", "b"), word(" Ha ", "c"))}
    assert len(ids) == 1
    others = (word("HA", "a", "de"), word("HA", "a", case=True), word("ha", "a", case=True), expression("HA", "a"))
    assert len(ids | {entry.id for entry in others}) == 5


def test_of_entries_with_the_same_id_the_first_applies() -> None:
    assert rewritten("ha", word("HA", "first"), word("ha", "second")) == "first"


@given(st.text(max_size=60), st.lists(st.tuples(st.text("aà b'漢홈5.", min_size=1, max_size=4), st.text(max_size=3))))
def test_any_text_and_words(text: str, pairs: list[tuple[str, str]]) -> None:
    """Nothing raises; without an entry that applies the text is as it was; what is spoken is in it."""
    entries = [make_entry(written, "<>", case=bool(spoken)) for written, spoken in pairs if written.strip()]
    for language in (None, *LANGUAGES[:2]):
        rewriting = Dictionary(entries).rewrite(text, language)
        if not rewriting.applied:
            assert rewriting.text == text
        whole = unicodedata.normalize("NFC", text)
        assert rewriting.text.count("<>") == len(rewriting.applied) + whole.count("<>")


@given(st.text())
def test_a_folded_text_is_as_long(text: str) -> None:
    assert len(fold(text)) == len(text)

"""The language of a text is told by its script, then by statistics, or not at all."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from tests.text.latin_model import characters
from wyoming_qwen3.text.language import LATIN_CODES, LATIN_MODEL, LATIN_WORD, LanguageGuesser


@pytest.fixture(scope="module")
def guesser() -> LanguageGuesser:
    return LanguageGuesser()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("The light in the kitchen is on.", "en"),
        ("Turn on the light", "en"),
        ("Das Licht in der Küche ist an.", "de"),
        ("Guten Morgen, wie geht es dir?", "de"),
        ("Il fait beau aujourd'hui.", "fr"),
        ("La luz de la cocina está encendida.", "es"),
        ("La luce della cucina è accesa.", "it"),
        ("A luz da cozinha está acesa, obrigado.", "pt"),
        ("厨房的灯已经打开了。", "zh"),
        ("打开Living Room的灯", "zh"),
        ("キッチンの電気をつけました。", "ja"),
        ("東京都知事選挙の結果", "ja"),
        ("주방 불이 켜졌습니다.", "ko"),
        ("Свет на кухне включён.", "ru"),
        ("Ich esse gern 寿司 am Abend.", "de"),
        ("DAS LICHT IN DER KÜCHE IST AN", "de"),
    ],
)
def test_tells_the_ten(guesser: LanguageGuesser, text: str, code: str) -> None:
    language = guesser.guess(text)
    assert language is not None
    assert language.code == code


@pytest.mark.parametrize(
    "text", ["", "21.5 °C", "...", "😀", "No", "كيف حالك؟", "שלום עולם", "Γειά σου", "नमस्ते", "\ud83d"]
)
def test_does_not_guess(guesser: LanguageGuesser, text: str) -> None:
    assert guesser.guess(text) is None


@pytest.fixture(scope="module")
def models() -> tuple[LanguageIdentifier, LanguageIdentifier]:
    """The whole model, limited to our languages, and our part of it."""
    whole = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    whole.set_languages(LATIN_CODES)
    return whole, LanguageIdentifier.from_modelpath(LATIN_MODEL, norm_probs=True)


@given(text=st.text(st.sampled_from(characters())))
@example(text="İÇİN")
@example(text="l’Été où Ça Œuvre")
@example(text="Die Haustür ist offen, the door is not: ¿dónde está el niño? Não sei. È così.")
def test_words_have_the_probabilities_of_the_whole_model(
    models: tuple[LanguageIdentifier, LanguageIdentifier], text: str
) -> None:
    whole, ours = models
    words = " ".join(LATIN_WORD.findall(text))
    assert ours.rank(words) == whole.rank(words)

"""The language of a text is told by its script, then by statistics, or not at all."""

import pytest

from wyoming_qwen3.text.language import LanguageGuesser


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

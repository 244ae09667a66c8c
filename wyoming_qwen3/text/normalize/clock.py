"""Times of day, as they are read out.

English uses twelve hours with AM and PM, Korean twelve hours with a part of the day, all others 24 hours.
"""

from .agreement import count
from .lexicon import Lexicon
from .numerals import Numeral, choose, spell


def clock(words: Lexicon, hour: int, minute: int, second: int = 0, marker: str = "", *, zero: bool = False) -> str:
    """Return a time in words. `marker` is "am", "pm" or empty; `zero` is whether the hour is written with a zero."""
    if marker and words.code != "en":
        hour = hour % 12 + 12 * (marker == "pm")
    said = _CLOCKS[words.code](words, hour, minute, marker, zero)
    return said + _seconds(words, second) if second else said


def _seconds(words: Lexicon, second: int) -> str:
    number = Numeral(str(second))
    one, many, link = _SECONDS[words.code]
    noun = one if second == 1 else many
    if words.code == "ru":
        noun = choose("секунда|секунды|секунд|секунды", number, "ru")
    return f"{link}{count(words.code, number, noun)}{words.space}{noun}"


_SECONDS = {
    "en": ("second", "seconds", " and "), "de": ("Sekunde", "Sekunden", " und "), "fr": ("seconde", "secondes", " et "),
    "es": ("segundo", "segundos", " con "), "it": ("secondo", "secondi", " e "), "pt": ("segundo", "segundos", " e "),
    "ru": ("секунда", "секунд", " и "), "ja": ("秒", "秒", ""), "ko": ("초", "초", " "), "zh": ("秒", "秒", ""),
}  # fmt: skip


def _english(_: Lexicon, hour: int, minute: int, marker: str, zero: bool) -> str:
    marker = marker or ("pm" if 12 < hour < 24 else "am" if hour in (0, 24) else "")
    if not minute and (hour in (0, 24) or (hour == 12 and marker)):
        return "noon" if marker == "pm" else "midnight"
    said = spell("en", hour % 12 or 12)
    if minute:
        said += f" oh {spell('en', minute)}" if minute < 10 else f" {spell('en', minute)}"
    elif not marker:
        said += " AM" if zero and hour < 10 else " o’clock"
    return f"{said} {marker.upper()}" if marker else said


def _german(_: Lexicon, hour: int, minute: int, _marker: str, _zero: bool) -> str:
    said = f"{'ein' if hour == 1 else spell('de', hour)} Uhr"
    return f"{said} {spell('de', minute)}" if minute else said


def _french(_: Lexicon, hour: int, minute: int, _marker: str, _zero: bool) -> str:
    noun = "heure" if hour < 2 else "heures"
    said = f"{count('fr', Numeral(str(hour)), noun)} {noun}"
    return f"{said} {spell('fr', minute, 'cardinal-feminine')}" if minute else said


def _spanish(_: Lexicon, hour: int, minute: int, _marker: str, _zero: bool) -> str:
    said = spell("es", hour, "cardinal-feminine")
    if not minute:
        return said if 0 < hour <= 12 else f"{said} horas"
    return f"{said} cero {spell('es', minute)}" if minute < 10 else f"{said} {spell('es', minute)}"


def _italian(_: Lexicon, hour: int, minute: int, _marker: str, _zero: bool) -> str:
    said = {24: "mezzanotte", 1: "una"}.get(hour) or spell("it", hour)
    if not hour and not minute:
        return "mezzanotte"
    return f"{said} e {spell('it', minute)}" if minute else said


def _portuguese(_: Lexicon, hour: int, minute: int, _marker: str, _zero: bool) -> str:
    said = f"{spell('pt', hour, 'cardinal-feminine')} hora" + "s" * (hour != 1)
    return f"{said} e {spell('pt', minute)} minuto" + "s" * (minute != 1) if minute else said


def _russian(_: Lexicon, hour: int, minute: int, _marker: str, _zero: bool) -> str:
    said = spell("ru", hour)
    if minute:
        return f"{said} ноль {spell('ru', minute)}" if minute < 10 else f"{said} {spell('ru', minute)}"
    if hour in (1, 21):
        return f"{said} час"
    return f"{said} часа" if hour in (2, 3, 4, 22, 23, 24) else f"{said} часов"


def russian_case(hour: int, minute: int, *, dative: bool) -> str:
    """Return a Russian time after "к", or after a preposition with the genitive such as "до"."""
    case = "dative" if dative else "genitive"
    said = spell("ru", hour, f"cardinal-masculine-{case}")
    if not minute:
        one, many = ("часу", "часам") if dative else ("часа", "часов")
        return f"{said} {one if hour in (1, 21) else many}"
    zero = ("нолю " if dative else "ноля ") * (minute < 10)
    return f"{said} {zero}{spell('ru', minute, f'cardinal-feminine-{case}')}"


def _japanese(_: Lexicon, hour: int, minute: int, _marker: str, _zero: bool) -> str:
    said = f"{'零' if not hour else spell('ja', hour)}時"
    return f"{said}{spell('ja', minute)}分" if minute else said


def _korean(_: Lexicon, hour: int, minute: int, marker: str, _zero: bool) -> str:
    part = (
        "오후 " if 12 < hour < 24 else "밤 " if hour in (0, 24) else "낮 " if hour == 12 else "오전 " if marker else ""
    )
    said = f"{part}{spell('ko', hour % 12 or 12, 'cardinal-native-attributive')} 시"
    return f"{said} {spell('ko', minute)} 분" if minute else said


def _chinese(_: Lexicon, hour: int, minute: int, _marker: str, _zero: bool) -> str:
    said = f"{'两' if hour == 2 else spell('zh', hour)}点"
    if not minute:
        return said
    return f"{said}零{spell('zh', minute)}分" if minute < 10 else f"{said}{spell('zh', minute)}分"


_CLOCKS = {
    "en": _english, "de": _german, "fr": _french, "es": _spanish, "it": _italian, "pt": _portuguese, "ru": _russian,
    "ja": _japanese, "ko": _korean, "zh": _chinese,
}  # fmt: skip

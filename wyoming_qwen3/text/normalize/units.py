"""Units: their symbols, and how a number with a unit is said. The words are CLDR's, by way of Babel.

The symbols are those of Home Assistant's sensors and others in common use. Case matters: mW and MW are different units.
"""

import re
from collections.abc import MutableMapping
from functools import lru_cache
from typing import Any

from babel import localedata

from .lexicon import Lexicon, any_of, lexicon
from .numerals import choose_form, spell

_CLDR = {
    "°C": "temperature-celsius", "℃": "temperature-celsius", "ºC": "temperature-celsius",
    "°F": "temperature-fahrenheit", "℉": "temperature-fahrenheit", "ºF": "temperature-fahrenheit",
    "K": "temperature-kelvin", "°": "angle-degree", "%": "concentr-percent", "‰": "concentr-permille",
    "ppm": "concentr-part-per-1e6", "ppb": "concentr-part-per-1e9",
    "W": "power-watt", "mW": "power-milliwatt", "kW": "power-kilowatt", "MW": "power-megawatt", "GW": "power-gigawatt",
    "hp": "power-horsepower", "kWh": "energy-kilowatt-hour", "J": "energy-joule", "kJ": "energy-kilojoule",
    "cal": "energy-calorie", "kcal": "energy-kilocalorie", "BTU": "energy-british-thermal-unit",
    "Btu": "energy-british-thermal-unit", "eV": "energy-electronvolt",
    "V": "electric-volt", "A": "electric-ampere", "mA": "electric-milliampere", "Ω": "electric-ohm",
    "S": "electric-siemens", "Bq": "energy-becquerel", "Sv": "energy-sievert",
    "Hz": "frequency-hertz", "kHz": "frequency-kilohertz", "MHz": "frequency-megahertz", "GHz": "frequency-gigahertz",
    "Pa": "pressure-pascal", "hPa": "pressure-hectopascal", "kPa": "pressure-kilopascal", "MPa": "pressure-megapascal",
    "bar": "pressure-bar", "mbar": "pressure-millibar", "atm": "pressure-atmosphere",
    "mmHg": "pressure-millimeter-ofhg", "inHg": "pressure-inch-ofhg", "psi": "pressure-pound-force-per-square-inch",
    "lx": "light-lux", "lm": "light-lumen", "cd": "light-candela", "T": "magnetic-tesla", "mol": "concentr-mole",
    "nm": "length-nanometer", "µm": "length-micrometer", "mm": "length-millimeter", "cm": "length-centimeter",
    "dm": "length-decimeter", "m": "length-meter", "km": "length-kilometer", "in": "length-inch", "″": "length-inch",
    "ft": "length-foot", "′": "length-foot", "yd": "length-yard", "mi": "length-mile", "nmi": "length-nautical-mile",
    "mm²": "area-square-millimeter", "cm²": "area-square-centimeter", "m²": "area-square-meter",
    "km²": "area-square-kilometer", "in²": "area-square-inch", "ft²": "area-square-foot", "yd²": "area-square-yard",
    "mi²": "area-square-mile", "ac": "area-acre", "ha": "area-hectare",
    "cm³": "volume-cubic-centimeter", "m³": "volume-cubic-meter", "km³": "volume-cubic-kilometer",
    "ft³": "volume-cubic-foot", "in³": "volume-cubic-inch", "l": "volume-liter", "L": "volume-liter",
    "ml": "volume-milliliter", "mL": "volume-milliliter", "cl": "volume-centiliter", "cL": "volume-centiliter",
    "dl": "volume-deciliter", "dL": "volume-deciliter", "hl": "volume-hectoliter", "hL": "volume-hectoliter",
    "gal": "volume-gallon", "fl. oz.": "volume-fluid-ounce", "fl oz": "volume-fluid-ounce", "qt": "volume-quart",
    "pt": "volume-pint", "tbsp": "volume-tablespoon", "tsp": "volume-teaspoon",
    "µg": "mass-microgram", "mg": "mass-milligram", "g": "mass-gram", "kg": "mass-kilogram", "t": "mass-tonne",
    "oz": "mass-ounce", "lb": "mass-pound", "st": "mass-stone",
    "ns": "duration-nanosecond", "µs": "duration-microsecond", "ms": "duration-millisecond", "s": "duration-second",
    "min": "duration-minute", "h": "duration-hour", "d": "duration-day",
    "bit": "digital-bit", "kbit": "digital-kilobit", "Mbit": "digital-megabit", "Gbit": "digital-gigabit",
    "Tbit": "digital-terabit", "B": "digital-byte", "kB": "digital-kilobyte", "KB": "digital-kilobyte",
    "MB": "digital-megabyte", "GB": "digital-gigabyte", "TB": "digital-terabyte", "PB": "digital-petabyte",
    "km/h": "speed-kilometer-per-hour", "m/s": "speed-meter-per-second", "mph": "speed-mile-per-hour",
    "mi/h": "speed-mile-per-hour", "kn": "speed-knot", "Bft": "speed-beaufort",
    "m/s²": "acceleration-meter-per-square-second", "mpg": "consumption-mile-per-gallon",
    "L/100 km": "consumption-liter-per-100-kilometer", "l/100 km": "consumption-liter-per-100-kilometer",
    "L/100km": "consumption-liter-per-100-kilometer", "l/100km": "consumption-liter-per-100-kilometer",
    "kWh/100km": "force-kilowatt-hour-per-100-kilometer", "kWh/100 km": "force-kilowatt-hour-per-100-kilometer",
    "Nm": "torque-newton-meter", "N": "force-newton", "px": "graphics-pixel", "MP": "graphics-megapixel",
    "mmol/L": "concentr-millimole-per-liter", "mmol/l": "concentr-millimole-per-liter",
}  # fmt: skip
"""Symbols -> identifiers of CLDR."""

_ALSO = {"Km": "km", "Kg": "kg", "Km/h": "km/h", "KWh": "kWh", "KW": "kW", "KHz": "kHz", "Kbit": "kbit",
         "kbps": "kbit/s", "Kbps": "kbit/s", "Mbps": "Mbit/s", "Gbps": "Gbit/s"}  # fmt: skip
"""Other ways to write symbols."""

_OWN = ("Wh", "VA", "var", "varh", "Ah", "dB", "rpm", "bpm", "inH₂O", "p/m³")
"""Units that CLDR does not have; their patterns are in the lexicons."""

_PREFIXED = {
    "Wh": "m M G T", "VA": "m k M", "var": "m k M", "varh": "k M", "Ah": "m", "W": "µ T", "V": "µ m k M", "A": "µ k",
    "J": "M G", "cal": "M G", "Ω": "m k M", "S": "µ m", "Bq": "k M", "Sv": "n µ m", "T": "µ m n", "bar": "c", "lx": "k",
    "mol": "m µ", "eV": "k M", "N": "k", "B": "E Z Y Ki Mi Gi Ti Pi Ei Zi Yi", "bit": "Ki Mi Gi",
    "Pa": "m c G", "Hz": "m T",
}  # fmt: skip
"""Units -> prefixes with which CLDR does not list them."""

_PREFIX_RULES = {
    "n": "10p-9", "µ": "10p-6", "m": "10p-3", "c": "10p-2", "k": "10p3", "M": "10p6", "G": "10p9", "T": "10p12",
    "P": "10p15", "E": "10p18", "Z": "10p21", "Y": "10p24", "Ki": "1024p1", "Mi": "1024p2",
    "Gi": "1024p3", "Ti": "1024p4", "Pi": "1024p5", "Ei": "1024p6", "Zi": "1024p7", "Yi": "1024p8",
}  # fmt: skip

_WITH = {"dBA": ("dB", "A"), "dB(A)": ("dB", "A"), "dBm": ("dB", "mW"), "Wp": ("W", "peak"),
         "kWp": ("kW", "peak"), "MWp": ("MW", "peak")}  # fmt: skip
"""Units that are said with another word, which is a unit itself or a letter."""

_SCALED = {"CCF": ("ft³", 2), "MCF": ("ft³", 3)}
"""Units that are said as a power of ten of another."""

_DENOMINATORS = """h min s d m³ m² m L l dL dl mL ml kg km kWh ft³ ft² cm mm mi t in week gal km² km³ ha °C K mol Hz MWh
Wh GB MB TB g""".split()

TEMPERATURES = ("°C", "℃", "ºC", "°F", "℉", "ºF", "°")
_LETTERS = r"A-Za-zÀ-ÖØ-öø-ɏͰ-ϿЀ-ӿ"
UNIT_END = rf"(?![{_LETTERS}\d_²³′″]|['’][{_LETTERS}])"
"""What may not follow a unit."""

_END = r"(?=\s*(?:[.,;:)!?]|$)|/)"
_END_IN_RUSSIAN = r"(?=\s*(?:[.,;:)!?]|$)|/|\s(?:и|или|при|на|до|от|для|—|–|-)(?!\w))"
_APART = r"(?:(?<=[\s-]{0})|(?<=[.,]\d{0})|(?<=[.,]\d\d{0}))"
"""Where a letter is no part of a name such as "Bus 42A"."""

_ONLY_WHERE_SAID = {
    **dict.fromkeys(("с", "st", "T", "pt", "ac"), _END),
    "S": _END + r"(?!\.\s*\d)",
    "В": _END_IN_RUSSIAN,
    "А": _APART.format("А") + _END_IN_RUSSIAN,
    "A": _APART.format("A"),
    "in": r"(?=\s*(?:[.,;:)]|$|[x×])|/|\sof\s)",
    "K": r"(?:(?<=\sK)|(?<=(?<!\d)\d\d\d\dK))",
    "К": r"(?<=\d\d\d\sК)",
    "B": r"(?<=\sB)",
    "ore": r"(?!\s*\d)",
    "F": r"(?<=\dF)",
}
"""Symbols that are also words or parts of names, with what must be around them."""

_WORDS = {"es": {"mi": _END, "ha": _END}, "it": {"mi": _END, "ha": _END}, "pt": {"mi": "(?=/)"}}
"""Symbols that are words of a language, with what must follow them."""


@lru_cache(16)
def unit_symbols(code: str) -> dict[str, str]:
    """Return all symbols of units in a language -> the symbol by which `unit_pattern` knows the unit."""
    prefixed = [prefix + base for base, prefixes in _PREFIXED.items() for prefix in prefixes.split()]
    known = {symbol: symbol for symbol in (*_CLDR, *_OWN, *_WITH, *_SCALED, *prefixed)}
    own = {**_ALSO, **lexicon(code).symbols}
    for symbol, unit in (*known.items(), *own.items()):
        for variant in _variants(symbol) - known.keys():
            own.setdefault(variant, unit)
    return {**known, **own}


_PERIODS = ("year", "month", "week", "day", "hour", "night")


@lru_cache(16)
def periods(code: str) -> dict[str, str]:
    """Return the names of periods and their abbreviations, as they stand after "/" -> identifiers of CLDR."""
    found: dict[str, str] = dict(lexicon(code).periods)
    for period in _PERIODS:
        for width in ("long", "short"):
            for plural in ("one", "other"):
                name = str(_units(code)[f"duration-{period}"].get(width, {}).get(plural, ""))
                name = name.replace("{0}", "").strip()
                if len(name) > 2 or (len(name) == 2 and name.isalpha()):
                    found.setdefault(name, f"duration-{period}")
    return found


def _variants(symbol: str) -> set[str]:
    """Return other ways to write a symbol."""
    micro = {symbol.replace("µ", "μ"), symbol.replace("µ", "u")}
    powers = {symbol.replace("²", "2").replace("³", "3")}
    return {*micro, *powers, symbol.replace("Ω", "\u2126")} - {symbol, *_WORDS_LIKE_UNITS}


_WORDS_LIKE_UNITS = ("um", "us")
"""Micrometers and microseconds without their Greek letter, which are words after a number: "the S3 um 7:52"."""


@lru_cache(16)
def unit_expression(code: str) -> str:
    """Return a regular expression for a unit, with anything it is divided by."""
    only = {**_ONLY_WHERE_SAID, **_WORDS.get(code, {})}
    symbols = sorted(unit_symbols(code), key=len, reverse=True)
    each = "|".join(re.escape(symbol) + only.get(symbol, "") for symbol in symbols)
    return rf"(?:BTU/\(h[⋅·*]ft²\)|(?:{each})(?:[ ]?/[ ]?(?:{denominators(code)}))?){UNIT_END}"


@lru_cache(16)
def denominators(code: str) -> str:
    """Return a regular expression for what a unit or a price may be divided by."""
    units = (symbol for symbol, unit in unit_symbols(code).items() if unit in _DENOMINATORS)
    return any_of([*periods(code), *units])


@lru_cache(4096)
def unit_pattern(code: str, symbol: str, plural: str) -> str:
    """Return how a unit is said, with "{0}" for the number. A "/" in the symbol divides."""
    words = lexicon(code)
    symbol = unit_symbols(code).get(symbol, symbol)
    if symbol in _CLDR or symbol in words.units:
        return _tidy(_said(code, symbol, plural), words)
    if symbol.startswith("BTU/("):
        return divided(code, divided(code, unit_pattern(code, "BTU", plural), "h"), "ft²")
    if symbol in _WITH:
        unit, other = _WITH[symbol]
        other = unit_pattern(code, other, "one").replace("{0}", "").strip() if other == "mW" else other
        return f"{unit_pattern(code, unit, plural)}{words.space}{other}"
    if "/" in symbol:
        above, _, below = symbol.partition("/")
        return divided(code, unit_pattern(code, above.strip(), plural), below.strip())
    prefix = next(prefix for prefix in sorted(_PREFIX_RULES, key=len, reverse=True) if _has_prefix(symbol, prefix))
    return _prefixed(code, prefix, _tidy(_said(code, symbol.removeprefix(prefix), plural), words))


def _has_prefix(symbol: str, prefix: str) -> bool:
    return symbol.startswith(prefix) and prefix in _PREFIXED.get(symbol.removeprefix(prefix), "").split()


def _said(code: str, symbol: str, plural: str) -> str:
    identifier = _CLDR.get(symbol, symbol)
    own = lexicon(code).units
    if forms := own.get(symbol) or own.get(identifier):
        return choose_form(forms, plural)
    if symbol == "mm²":
        return _square(code, plural)
    long = _units(code)[identifier]["long"]
    return str(long.get(plural) or long["other"]).replace("100", spell(code, 100))


def _square(code: str, plural: str) -> str:
    """Return the pattern of square millimeters, which CLDR lacks: that of square meters with another length."""
    meter, millimeter = (_said(code, symbol, plural).replace("{0}", "").strip() for symbol in ("m", "mm"))
    millimeter = millimeter.lower() if code == "de" else millimeter
    return re.sub(meter, millimeter, _said(code, "m²", plural), flags=re.IGNORECASE)


def _data(code: str) -> localedata.LocaleDataDict:
    data: MutableMapping[str | int | None, Any] = {}
    data.update(localedata.load(code).items())
    return localedata.LocaleDataDict(data)


@lru_cache(16)
def _units(code: str) -> dict[str, Any]:
    return dict(_data(code)["unit_patterns"])


@lru_cache(256)
def _compound(code: str, rule: str, key: str) -> str:
    return str(_data(code)["compound_unit_patterns"][rule]["long"][key])


def _prefixed(code: str, prefix: str, pattern: str) -> str:
    said = lexicon(code).prefixes.get(prefix) or _compound(code, _PREFIX_RULES[prefix], "prefix").replace("{0}", "")
    noun = re.search(r"(?<=\{0\})(\s?)(\w)", pattern)
    if not noun:
        return said + pattern
    initial = noun[2].lower() if code == "de" else noun[2]
    return pattern[: noun.start()] + noun[1] + said + initial + pattern[noun.end() :]


def divided(code: str, pattern: str, below: str) -> str:
    """Return a pattern divided by a unit, such as "{0} euros per kilowatt-hour"."""
    words = lexicon(code)
    below = unit_symbols(code).get(below, below)
    if said := words.per.get(below):
        return said.replace("{0}", pattern)
    identifier = periods(code).get(below) or _CLDR.get(below, "")
    own = _units(code).get(identifier, {}).get("long", {}).get("per")
    if own and "/" not in own:
        return _tidy(str(own), words).replace("{0}", pattern)
    one = _said(code, identifier, "one") if below in periods(code) else unit_pattern(code, below, "one")
    noun = one.replace("{0}", "").strip()
    generic = words.per.get("") or _compound(code, "per", "compound")
    return _tidy(generic, words).replace("{0}", pattern).replace("{1}", noun)


def _tidy(pattern: str, words: Lexicon) -> str:
    """Leave only the spaces that the language has between words."""
    pattern = " ".join(pattern.split())
    if words.code in ("ja", "zh"):
        return pattern.replace(" ", "")
    return pattern.replace("{0}", "{0} ").replace("  ", " ").strip() if words.code == "ko" else pattern


def scaled(symbol: str) -> tuple[str, int]:
    """Return a unit in which another is said, and the power of ten between the two."""
    return _SCALED.get(symbol, (symbol, 0))


def noun_after(pattern: str) -> str:
    """Return the word after the number in a pattern, with which the number agrees."""
    return "" if "分之{0}" in pattern else re.sub(r"^.*\{0\} ?", "", pattern).split(" ")[0]


def noun_of(code: str, symbol: str) -> str:
    """Return what a unit is called without a number, in the plural."""
    return unit_pattern(code, symbol, "many" if code == "ru" else "other").replace("{0}", "").strip()

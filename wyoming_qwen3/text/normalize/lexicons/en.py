"""English, as in the United States."""

from ..lexicon import Lexicon

LEXICON = Lexicon(
    code="en",
    decimal=".",
    day_first=False,
    digits="zero one two three four five six seven eight nine",
    point="point",
    dot="dot",
    minus="minus",
    plus="plus",
    to="to",
    ratio="to",
    slash="over",
    by="by",
    number="number",
    section="section",
    cents="{major} and {minor}",
    signs={
        "=": "equals", "≠": "is not equal to", "≈": "approximately", "≤": "at most", "≥": "at least", "<": "less than",
        ">": "greater than", "~": "about", "±": "plus or minus", "×": "times", "÷": "divided by", "&": "and",
        "√": "square root of", "∞": "infinity", "²": "squared", "³": "cubed",
    },
    fractions={"2": "half|halves", "4": "quarter|quarters", "100": "hundredth|hundredths"},
    mixed="{0} and {1}",
    mixed_half="{0} and a half",
    fold="time|times",
    money={
        "USD": "dollar|dollars", "EUR": "euro|euros", "GBP": "pound|pounds", "JPY": "yen", "CNY": "yuan",
        "RUB": "ruble|rubles", "KRW": "won", "INR": "rupee|rupees", "BRL": "real|reais", "CHF": "Swiss franc|Swiss francs",
        "PLN": "zloty|zlotys", "SEK": "krona|kronor", "¢": "cent|cents",
    },
    minor={
        "USD": "cent|cents", "EUR": "cent|cents", "GBP": "penny|pence", "INR": "paisa|paise", "RUB": "kopek|kopeks",
        "BRL": "centavo|centavos", "CHF": "rappen", "CAD": "cent|cents", "AUD": "cent|cents", "NZD": "cent|cents",
    },
    magnitudes={
        "million": "million", "billion": "billion", "trillion": "trillion", "thousand": "thousand", "mn": "million",
        "bn": "billion", "M": "million", "B": "billion", "k": "thousand", "K": "thousand",
    },
    units={
        "Wh": "{0} watt-hour|{0} watt-hours", "VA": "{0} volt-ampere|{0} volt-amperes", "var": "{0} var|{0} vars",
        "varh": "{0} var-hour|{0} var-hours", "Ah": "{0} ampere-hour|{0} ampere-hours",
        "dB": "{0} decibel|{0} decibels", "rpm": "{0} revolution per minute|{0} revolutions per minute",
        "bpm": "{0} beat per minute|{0} beats per minute", "inH₂O": "{0} inch of water|{0} inches of water",
        "energy-kilowatt-hour": "{0} kilowatt-hour|{0} kilowatt-hours",
    },
    symbols={"F": "°F", "kph": "km/h", "sq ft": "ft²", "sq m": "m²", "sqft": "ft²", "lbs": "lb", "hrs": "h", "hr": "h", "mins": "min",
             "secs": "s", "sec": "s", "yds": "yd", "gals": "gal"},
    abbreviations={
        "e.g.": "for example", "i.e.": "that is", "etc.": "et cetera", "vs.": "versus", "approx.": "approximately",
        "incl.": "including", "w/o": "without",
    },
    before_names={
        "Dr.": "Doctor", "Mr.": "Mister", "Mrs.": "Missus", "Ms.": "Miz", "Prof.": "Professor", "Mt.": "Mount",
        "Sgt.": "Sergeant", "Capt.": "Captain", "Gov.": "Governor", "Sen.": "Senator", "Rep.": "Representative",
    },
    before_numbers={
        "No.": "number", "no.": "number", "Nos.": "numbers", "nos.": "numbers", "Vol.": "volume", "vol.": "volume",
        "Fig.": "figure", "fig.": "figure", "p.": "page", "pp.": "pages", "Ch.": "chapter", "ch.": "chapter",
        "max.": "maximum", "min.": "minimum", "ca.": "about", "Apt.": "apartment", "Rm.": "room", "Ext.": "extension",
        "ext.": "extension", "v": "version",
    },
    codes="code pin password passcode otp extension ext.",
    copulas="is was number",
    months={"sept": 9},
)  # fmt: skip

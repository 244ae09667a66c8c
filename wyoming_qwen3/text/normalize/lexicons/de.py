"""German."""

from ..lexicon import Lexicon

LEXICON = Lexicon(
    code="de",
    groups_by_space=True,
    digits="null eins zwei drei vier fünf sechs sieben acht neun",
    point="Komma",
    dot="Punkt",
    minus="minus",
    plus="plus",
    to="bis",
    ratio="zu",
    slash="zu",
    by="mal",
    number="Nummer",
    section="Paragraf",
    cents="{major} {number}",
    signs={
        "=": "gleich", "≠": "ungleich", "≈": "ungefähr", "≤": "höchstens", "≥": "mindestens", "<": "kleiner als",
        ">": "größer als", "~": "etwa", "±": "plus minus", "×": "mal", "÷": "geteilt durch", "&": "und",
        "√": "Wurzel aus", "∞": "unendlich", "²": "hoch zwei", "³": "hoch drei",
    },
    fractions={"2": "halb|Halbe", "3": "Drittel", "7": "Siebtel", "100": "Hundertstel"},
    mixed="{0} {1}",
    mixed_half="{0}einhalb",
    fold="mal",
    money={
        "USD": "Dollar", "EUR": "Euro", "GBP": "Pfund", "JPY": "Yen", "CNY": "Yuan", "RUB": "Rubel", "KRW": "Won",
        "INR": "Rupie|Rupien", "BRL": "Real|Reais", "CHF": "Franken", "PLN": "Złoty", "CZK": "Krone|Kronen",
        "SEK": "Krone|Kronen", "¢": "Cent",
    },
    minor={"USD": "Cent", "EUR": "Cent", "GBP": "Penny|Pence", "CHF": "Rappen", "RUB": "Kopeke|Kopeken"},
    magnitudes={
        "Mio.": "Million|Millionen", "Mrd.": "Milliarde|Milliarden", "Tsd.": "Tausend", "Million": "Million",
        "Millionen": "Millionen", "Milliarde": "Milliarde", "Milliarden": "Milliarden",
    },
    units={
        "Wh": "{0} Wattstunde|{0} Wattstunden", "VA": "{0} Voltampere", "var": "{0} Var", "varh": "{0} Varstunde|{0} Varstunden",
        "Ah": "{0} Amperestunde|{0} Amperestunden", "dB": "{0} Dezibel",
        "rpm": "{0} Umdrehung pro Minute|{0} Umdrehungen pro Minute",
        "bpm": "{0} Schlag pro Minute|{0} Schläge pro Minute", "inH₂O": "{0} Zoll Wassersäule",
        "energy-british-thermal-unit": "{0} britische Wärmeeinheit|{0} britische Wärmeeinheiten",
        "concentr-part-per-1e6": "{0} Teil pro Million|{0} Teile pro Million",
        "concentr-part-per-1e9": "{0} Teil pro Milliarde|{0} Teile pro Milliarde",
    },
    prefixes={"µ": "Mikro"},
    symbols={
        "Std.": "h", "Std": "h", "Stdn.": "h", "Min.": "min", "Sek.": "s", "sek.": "s", "kmh": "km/h", "U/min": "rpm",
        "qm": "m²", "Ltr.": "l", "Pkt.": "pt",
    },
    abbreviations={
        "z. B.": "zum Beispiel", "z.B.": "zum Beispiel", "d. h.": "das heißt", "d.h.": "das heißt",
        "u. a.": "unter anderem", "u.a.": "unter anderem", "v. a.": "vor allem", "v.a.": "vor allem",
        "o. Ä.": "oder Ähnliches", "o.Ä.": "oder Ähnliches", "i. d. R.": "in der Regel", "i.d.R.": "in der Regel",
        "usw.": "und so weiter", "bzw.": "beziehungsweise", "ca.": "circa", "inkl.": "inklusive", "zzgl.": "zuzüglich",
        "exkl.": "exklusive", "evtl.": "eventuell", "ggf.": "gegebenenfalls", "bspw.": "beispielsweise",
        "vgl.": "vergleiche", "max.": "maximal", "mind.": "mindestens", "sog.": "sogenannt", "bzgl.": "bezüglich",
        "Tel.": "Telefon", "etc.": "et cetera", "usf.": "und so fort",
    },
    before_names={"Dr.": "Doktor", "Prof.": "Professor", "Hr.": "Herr", "Fr.": "Frau", "St.": "Sankt", "Dipl.": "Diplom"},
    before_numbers={
        "Nr.": "Nummer", "Nrn.": "Nummern", "S.": "Seite", "Abs.": "Absatz", "Art.": "Artikel", "Kap.": "Kapitel",
        "Abb.": "Abbildung", "Bd.": "Band", "min.": "mindestens", "No.": "Nummer", "Hausnr.": "Hausnummer",
    },
    codes="code pin passwort kennwort zugangscode tan durchwahl sicherheitscode",
    copulas="ist lautet war",
    months={"jänner": 1, "feber": 2, "jan": 1, "feb": 2, "apr": 4, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "sept": 9,
            "okt": 10, "nov": 11, "dez": 12, "mär": 3},
    feminine=frozenset(
        """Stunde Minute Sekunde Woche Tonne Kalorie Meile Unze Gallone Wattstunde Kilowattstunde Megawattstunde
        Gigawattstunde Amperestunde Milliamperestunde Varstunde Umdrehung Rupie Krone Kopeke Million Milliarde Lampe Tür
        Nachricht Person Leuchte Steckdose Kamera Mail Frage Antwort Erinnerung Benachrichtigung Aufgabe Heizung Pumpe
        Batterie Katze Flasche Tasse Tablette Portion Packung Seite Zeile Station Haltestelle Etage Warnung Meldung
        Einheit Stufe Nacht Sendung Lieferung Kerze Dose Scheibe Zwiebel Karotte Tomate Wärmeeinheit britische Kartoffel Datei Aktualisierung
        Billion Seemeile Kilokalorie Yard Terawattstunde Zeitung Kanne Mark Zehe Prise Option""".split()
    ),
)  # fmt: skip

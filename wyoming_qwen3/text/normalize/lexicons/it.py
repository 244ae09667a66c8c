"""Italian."""

from ..lexicon import Lexicon

LEXICON = Lexicon(
    code="it",
    digits="zero uno due tre quattro cinque sei sette otto nove",
    point="virgola",
    dot="punto",
    minus="meno",
    plus="più",
    to="a",
    ratio="a",
    slash="su",
    by="per",
    number="numero",
    section="paragrafo",
    cents="{major} e {number}",
    signs={
        "=": "uguale", "≠": "diverso da", "≈": "circa", "≤": "al massimo", "≥": "almeno", "<": "minore di",
        ">": "maggiore di", "~": "circa", "±": "più o meno", "×": "per", "÷": "diviso", "&": "e",
        "√": "radice quadrata di", "∞": "infinito", "²": "al quadrato", "³": "al cubo",
    },
    fractions={"2": "mezzo|mezzi", "10": "decimo|decimi", "100": "centesimo|centesimi"},
    mixed="{0} e {1}",
    half="e mezzo|e mezza",
    start="da",
    prepositions="da dal dai dalle di a con tra fra per in i le",
    fold="volta|volte",
    money={
        "USD": "dollaro|dollari", "EUR": "euro", "GBP": "sterlina|sterline", "JPY": "yen", "CNY": "yuan",
        "RUB": "rublo|rubli", "KRW": "won", "INR": "rupia|rupie", "BRL": "real", "CHF": "franco|franchi",
        "SEK": "corona|corone", "¢": "centesimo|centesimi",
    },
    minor={"USD": "centesimo|centesimi", "EUR": "centesimo|centesimi", "GBP": "penny|pence", "CHF": "centesimo|centesimi"},
    magnitudes={
        "mln": "milione|milioni", "mld": "miliardo|miliardi", "milione": "milione", "milioni": "milioni",
        "miliardo": "miliardo", "miliardi": "miliardi", "mila": "mila",
    },
    of="di",
    units={
        "Wh": "{0} wattora", "VA": "{0} voltampere", "var": "{0} var", "varh": "{0} varora", "Ah": "{0} amperora",
        "dB": "{0} decibel", "rpm": "{0} giro al minuto|{0} giri al minuto",
        "bpm": "{0} battito al minuto|{0} battiti al minuto", "inH₂O": "{0} pollice d’acqua|{0} pollici d’acqua",
        "mass-tonne": "{0} tonnellata|{0} tonnellate", "concentr-percent": "{0} per cento",
    },
    symbols={"giri/min": "rpm", "mq": "m²", "mc": "m³", "kmq": "km²", "sec": "s", "hl": "hL", "kmh": "km/h", "ore": "h"},
    per={"t": "{0} per tonnellata", "ha": "{0} all’ettaro", "kWh": "{0} al chilowattora", "m": "{0} al metro", "ft²": "{0} per piede quadrato"},
    abbreviations={
        "p. es.": "per esempio", "p.es.": "per esempio", "ad es.": "ad esempio", "ecc.": "eccetera", "ca.": "circa",
        "tel.": "telefono", "Tel.": "telefono", "max.": "massimo", "cfr.": "confronta",
    },
    before_names={
        "Sig.": "signor", "sig.": "signor", "Sig.ra": "signora", "sig.ra": "signora", "Sigg.": "signori",
        "Dott.": "dottor", "dott.": "dottor", "Dott.ssa": "dottoressa", "dott.ssa": "dottoressa", "Dr.": "dottor",
        "Prof.": "professor", "prof.": "professor", "Prof.ssa": "professoressa", "Ing.": "ingegner", "Avv.": "avvocato",
        "S.": "san",
    },
    before_numbers={
        "n.": "numero", "N.": "numero", "n°": "numero", "N°": "numero", "nº": "numero", "nr.": "numero",
        "Nr.": "numero", "pag.": "pagina", "pagg.": "pagine", "p.": "pagina", "art.": "articolo", "cap.": "capitolo",
        "vol.": "volume", "No.": "numero", "min.": "minimo",
    },
    codes="codice pin password",
    copulas="è di accesso",
    months={"sett": 9},
    feminine=frozenset("luce notte chiave stazione lezione parte volte mano ora ore".split()),
)  # fmt: skip

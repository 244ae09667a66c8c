"""French."""

from ..lexicon import Lexicon

LEXICON = Lexicon(
    code="fr",
    groups_by_mark=False,
    groups_by_space=True,
    digits="zéro un deux trois quatre cinq six sept huit neuf",
    point="virgule",
    dot="point",
    minus="moins",
    plus="plus",
    to="à",
    ratio="à",
    slash="sur",
    by="par",
    number="numéro",
    section="paragraphe",
    cents="{major} {number}",
    signs={
        "=": "égale", "≠": "n’est pas égal à", "≈": "environ", "≤": "au plus", "≥": "au moins", "<": "inférieur à",
        ">": "supérieur à", "~": "environ", "±": "plus ou moins", "×": "fois", "÷": "divisé par", "&": "et",
        "√": "racine carrée de", "∞": "infini", "²": "au carré", "³": "au cube",
    },
    fractions={"2": "demi|demis", "3": "tiers|tiers", "4": "quart|quarts"},
    mixed="{0} et {1}",
    mixed_half="{0} et demi",
    half="et demi|et demie",
    fold="fois",
    money={
        "USD": "dollar|dollars", "EUR": "euro|euros", "GBP": "livre|livres", "JPY": "yen|yens", "CNY": "yuan|yuans",
        "RUB": "rouble|roubles", "KRW": "won|wons", "INR": "roupie|roupies", "BRL": "réal|réaux", "CHF": "franc|francs",
        "US": "dollar américain|dollars américains", "CAD": "dollar canadien|dollars canadiens", "SEK": "couronne|couronnes", "¢": "centime|centimes",
    },
    minor={"USD": "cent|cents", "EUR": "centime|centimes", "GBP": "penny|pence", "CHF": "centime|centimes"},
    magnitudes={
        "M": "million|millions", "Md": "milliard|milliards", "Mds": "milliard|milliards", "k": "mille",
        "million": "million", "millions": "millions", "milliard": "milliard", "milliards": "milliards",
    },
    of="de",
    units={
        "Wh": "{0} watt-heure|{0} watt-heures", "VA": "{0} voltampère|{0} voltampères", "var": "{0} var|{0} vars",
        "varh": "{0} var-heure|{0} var-heures", "Ah": "{0} ampère-heure|{0} ampères-heures",
        "dB": "{0} décibel|{0} décibels", "rpm": "{0} tour par minute|{0} tours par minute",
        "bpm": "{0} battement par minute|{0} battements par minute",
        "consumption-liter-per-100-kilometer": "{0} litre aux cent kilomètres|{0} litres aux cent kilomètres",
        "force-kilowatt-hour-per-100-kilometer":
            "{0} kilowatt-heure aux cent kilomètres|{0} kilowatt-heures aux cent kilomètres",
        "inH₂O": "{0} pouce de colonne d’eau|{0} pouces de colonne d’eau",
    },
    symbols={"tr/min": "rpm", "mn": "min", "sec": "s", "ko": "kB", "Ko": "kB", "Mo": "MB", "Go": "GB", "To": "TB",
             "Mo/s": "MB/s", "Go/s": "GB/s", "ko/s": "kB/s", "Mb/s": "Mbit/s", "j": "d", "kmh": "km/h"},
    per={"L": "{0} par litre", "kWh": "{0} par kilowatt-heure"},
    abbreviations={
        "p. ex.": "par exemple", "p.ex.": "par exemple", "c.-à-d.": "c’est-à-dire", "etc.": "et cetera",
        "env.": "environ", "tél.": "téléphone", "Tél.": "téléphone", "Mme": "madame", "Mmes": "mesdames",
        "Mlle": "mademoiselle", "max.": "maximum", "Bd": "boulevard",
    },
    before_names={"M.": "monsieur", "MM.": "messieurs", "Dr": "docteur", "Dr.": "docteur", "Pr": "professeur",
                  "Pr.": "professeur", "Me": "maître", "St": "saint", "Ste": "sainte"},
    before_numbers={
        "n°": "numéro", "N°": "numéro", "nº": "numéro", "Nº": "numéro", "n°s": "numéros", "p.": "page", "art.": "article",
        "chap.": "chapitre", "vol.": "volume", "fig.": "figure", "min.": "minimum", "No": "numéro", "no": "numéro",
    },
    codes="code pin passe digicode",
    copulas="est le pin",
    months={"janv": 1, "févr": 2, "fév": 2, "avr": 4, "juil": 7, "sept": 9, "oct": 10, "nov": 11, "déc": 12},
    feminine=frozenset(
        """heure heures minute minutes seconde secondes tonne tonnes calorie calories livre livres once onces semaine
        semaines année années journée journées partie parties personne personnes fois lumière lumières porte portes
        fenêtre fenêtres lampe lampes pièce pièces alarme alarmes notification notifications prise prises tâche tâches
        roupie roupies couronne couronnes chambre chambres question questions caméra caméras bouteille bouteilles tasse
        tasses page pages station stations voiture voitures nuit nuits réponse réponses ampoule ampoules étape étapes
        kilocalorie kilocalories unité unités minuterie minuteries livraison livraisons part parts pincée gousse gousses
        cuillère cuillères tranche tranches tomate tomates pomme pommes carotte carottes""".split()
    ),
)  # fmt: skip

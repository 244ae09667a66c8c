"""Portuguese, as in Brazil."""

from ..lexicon import Lexicon

LEXICON = Lexicon(
    code="pt",
    groups_by_space=True,
    digits="zero um dois três quatro cinco seis sete oito nove",
    point="vírgula",
    dot="ponto",
    minus="menos",
    plus="mais",
    to="a",
    ratio="a",
    slash="sobre",
    by="por",
    number="número",
    section="parágrafo",
    cents="{major} e {minor}",
    signs={
        "=": "é igual a", "≠": "diferente de", "≈": "aproximadamente", "≤": "no máximo", "≥": "no mínimo",
        "<": "menor que", ">": "maior que", "~": "cerca de", "±": "mais ou menos", "×": "vezes", "÷": "dividido por",
        "&": "e", "√": "raiz quadrada de", "∞": "infinito", "²": "ao quadrado", "³": "ao cubo",
    },
    fractions={"2": "meio|meios", "3": "terço|terços", "4": "quarto|quartos", "100": "centésimo|centésimos"},
    mixed="{0} e {1}",
    half="e meio|e meia",
    start="de",
    prepositions="de do das dos a com entre por em os as às",
    money={
        "USD": "dólar|dólares", "EUR": "euro|euros", "GBP": "libra|libras", "JPY": "iene|ienes", "CNY": "yuan|yuans",
        "RUB": "rublo|rublos", "KRW": "won|wons", "INR": "rupia|rupias", "BRL": "real|reais", "CHF": "franco|francos",
        "SEK": "coroa|coroas", "¢": "centavo|centavos",
    },
    minor={
        "USD": "centavo|centavos", "EUR": "cêntimo|cêntimos", "BRL": "centavo|centavos", "GBP": "pence",
    },
    magnitudes={"mi": "milhão|milhões", "bi": "bilhão|bilhões", "milhão": "milhão", "milhões": "milhões",
                "bilhão": "bilhão", "bilhões": "bilhões", "mil": "mil"},
    of="de",
    units={
        "Wh": "{0} watt-hora|{0} watts-hora", "VA": "{0} volt-ampere|{0} volts-ampere", "var": "{0} var|{0} vars",
        "varh": "{0} var-hora|{0} vars-hora", "Ah": "{0} ampere-hora|{0} amperes-hora",
        "dB": "{0} decibel|{0} decibéis", "rpm": "{0} rotação por minuto|{0} rotações por minuto",
        "bpm": "{0} batimento por minuto|{0} batimentos por minuto",
        "inH₂O": "{0} polegada de água|{0} polegadas de água",
        "mass-tonne": "{0} tonelada|{0} toneladas", "pressure-bar": "{0} bar|{0} bars",
    },
    prefixes={"k": "quilo", "m": "mili", "µ": "micro", "n": "nano", "c": "centi", "d": "deci", "h": "hecto", "M": "mega",
              "G": "giga", "T": "tera", "P": "peta", "E": "exa"},
    symbols={"kmh": "km/h", "hrs": "h", "seg": "s"},
    per={"kWh": "{0} por quilowatt-hora"},
    abbreviations={
        "p. ex.": "por exemplo", "p.ex.": "por exemplo", "etc.": "et cetera", "aprox.": "aproximadamente",
        "tel.": "telefone", "Tel.": "telefone", "máx.": "máximo", "mín.": "mínimo",
    },
    before_names={
        "Sr.": "senhor", "Sra.": "senhora", "Srta.": "senhorita", "Dr.": "doutor", "Dra.": "doutora",
        "Prof.": "professor", "Profa.": "professora", "Eng.": "engenheiro", "D.": "dona", "Av.": "avenida",
    },
    before_numbers={
        "n.º": "número", "N.º": "número", "nº": "número", "Nº": "número", "n°": "número", "N°": "número",
        "nr.": "número", "pág.": "página", "págs.": "páginas", "p.": "página", "art.": "artigo", "cap.": "capítulo",
        "vol.": "volume", "No.": "número",
    },
    codes="código senha pin ramal",
    copulas="é de acesso",
    feminine=frozenset("colher colheres parte partes vez vezes luz luzes noite noites chave chaves tarde tardes viagem viagens".split()),
)  # fmt: skip

"""Japanese."""

from ..lexicon import Lexicon

LEXICON = Lexicon(
    code="ja",
    space="",
    decimal=".",
    digits="ゼロ 一 二 三 四 五 六 七 八 九",
    point="点",
    dot="ドット",
    minus="マイナス",
    plus="プラス",
    to="から",
    ratio="対",
    slash="スラッシュ",
    by="かける",
    number="ナンバー",
    section="第{0}項",
    signs={
        "=": "イコール", "≠": "ノットイコール", "≈": "約", "≤": "{0}以下", "≥": "{0}以上", "<": "{0}未満", ">": "{0}超", "~": "約", "±": "プラスマイナス", "×": "かける", "÷": "割る", "&": "アンド", "√": "ルート",
        "∞": "無限大", "²": "の二乗", "³": "の三乗",
    },
    mixed="{0}と{1}",
    money={
        "USD": "ドル", "EUR": "ユーロ", "GBP": "ポンド", "JPY": "円", "CNY": "元", "RUB": "ルーブル", "KRW": "ウォン",
        "INR": "ルピー", "BRL": "レアル", "CHF": "スイスフラン", "SEK": "クローナ", "¢": "セント",
    },
    minor={"USD": "セント", "EUR": "セント", "GBP": "ペンス"},
    magnitudes={"万": "万", "億": "億", "兆": "兆"},
    units={
        "Wh": "{0}ワット時", "VA": "{0}ボルトアンペア", "var": "{0}バール", "varh": "{0}バール時", "Ah": "{0}アンペア時",
        "dB": "{0}デシベル", "rpm": "毎分{0}回転", "bpm": "毎分{0}拍", "inH₂O": "{0}水柱インチ",
        "concentr-part-per-1e6": "{0}ピーピーエム", "concentr-part-per-1e9": "{0}ピーピービー",
        "pressure-bar": "{0}バール", "consumption-liter-per-100-kilometer": "百キロメートルあたり{0}リットル",
        "force-kilowatt-hour-per-100-kilometer": "百キロメートルあたり{0}キロワット時",
        "pressure-pound-force-per-square-inch": "一平方インチあたり{0}ポンド",
    },
    per={"": "一{1}あたり{0}", "s": "毎秒{0}", "min": "毎分{0}", "h": "毎時{0}"},
    before_numbers={"No.": "ナンバー", "no.": "ナンバー", "Vol.": "ボリューム", "vol.": "ボリューム"},
    codes="コード 暗証番号 認証番号 確認コード 認証コード パスワード PIN",
    copulas="は が ：",
)  # fmt: skip

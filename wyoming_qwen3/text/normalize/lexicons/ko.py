"""Korean."""

from ..lexicon import Lexicon

LEXICON = Lexicon(
    code="ko",
    decimal=".",
    digits="공 일 이 삼 사 오 육 칠 팔 구",
    point="점",
    dot="점",
    minus="마이너스",
    plus="플러스",
    below_zero="영하",
    to="에서",
    ratio="대",
    slash="슬래시",
    by="곱하기",
    number="{0}번",
    section="제 {0} 항",
    signs={
        "=": "이퀄", "≠": "같지 않음", "≈": "약", "≤": "{0} 이하", "≥": "{0} 이상", "<": "{0} 미만", ">": "{0} 초과", "~": "약",
        "±": "플러스마이너스", "×": "곱하기", "÷": "나누기", "&": "앤드", "√": "루트", "∞": "무한대", "²": "제곱",
        "³": "세제곱",
    },
    mixed="{0}와 {1}",
    money={
        "USD": "달러", "EUR": "유로", "GBP": "파운드", "JPY": "엔", "CNY": "위안", "RUB": "루블", "KRW": "원",
        "INR": "루피", "BRL": "헤알", "CHF": "스위스 프랑", "SEK": "크로나", "¢": "센트",
    },
    minor={"USD": "센트", "EUR": "센트", "GBP": "펜스"},
    magnitudes={"만": "만", "억": "억", "조": "조"},
    units={
        "Wh": "{0} 와트시", "VA": "{0} 볼트암페어", "var": "{0} 바", "varh": "{0} 바시", "Ah": "{0} 암페어시",
        "dB": "{0} 데시벨", "rpm": "분당 {0}회전", "bpm": "분당 {0}회", "inH₂O": "{0} 수주인치",
        "concentr-percent": "{0}퍼센트", "concentr-permille": "{0}퍼밀", "concentr-part-per-1e6": "{0}피피엠",
        "concentr-part-per-1e9": "{0}피피비", "mass-tonne": "{0}톤", "graphics-pixel": "{0} 픽셀",
        "graphics-megapixel": "{0} 메가픽셀", "pressure-atmosphere": "{0} 기압",
        "pressure-pound-force-per-square-inch": "제곱인치당 {0} 파운드",
    },
    before_numbers={"No.": "넘버", "no.": "넘버", "Vol.": "볼륨"},
    codes="코드 비밀번호 인증번호 확인번호 PIN 코드는 비밀번호는 인증번호는 확인번호는",
    copulas="는 은",
    counters=frozenset(
        "개 명 시간 살 마리 잔 병 권 장 대 번 달 가지 곳 사람 군데 통 켤레 벌 그루 송이 자루 채 척 줄 쪽 배 알 입 판".split()
    ),
)  # fmt: skip

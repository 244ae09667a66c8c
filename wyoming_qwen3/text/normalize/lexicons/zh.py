"""Chinese, as in mainland China."""

from ..lexicon import Lexicon

LEXICON = Lexicon(
    code="zh",
    space="",
    decimal=".",
    digits="零 一 二 三 四 五 六 七 八 九",
    point="点",
    minus="负",
    plus="加",
    below_zero="零下",
    to="到",
    ratio="比",
    slash="斜杠",
    by="乘",
    number="{0}号",
    section="第{0}节",
    signs={
        "=": "等于", "≠": "不等于", "≈": "约等于", "≤": "小于等于", "≥": "大于等于", "<": "小于", ">": "大于", "~": "约",
        "±": "正负", "×": "乘", "÷": "除以", "&": "和", "√": "根号", "∞": "无穷大", "²": "的平方", "³": "的立方", "%": "百分比",
    },
    mixed="{0}又{1}",
    money={
        "USD": "美元", "EUR": "欧元", "GBP": "英镑", "JPY": "日元", "CNY": "元", "RUB": "卢布", "KRW": "韩元",
        "INR": "卢比", "BRL": "雷亚尔", "CHF": "瑞士法郎", "SEK": "瑞典克朗", "¢": "美分",
    },
    magnitudes={"万": "万", "亿": "亿"},
    units={
        "Wh": "{0}瓦时", "VA": "{0}伏安", "var": "{0}乏", "varh": "{0}乏时", "Ah": "{0}安时", "dB": "{0}分贝",
        "rpm": "每分钟{0}转", "bpm": "每分钟{0}次", "inH₂O": "{0}英寸水柱",
        "concentr-percent": "百分之{0}", "concentr-permille": "千分之{0}",
        "concentr-part-per-1e6": "百万分之{0}", "mass-tonne": "{0}吨", "mass-kilogram": "{0}公斤", "duration-second": "{0}秒",
        "electric-volt": "{0}伏", "electric-ampere": "{0}安", "electric-milliampere": "{0}毫安", "power-watt": "{0}瓦",
        "pressure-pascal": "{0}帕", "pressure-hectopascal": "{0}百帕", "pressure-kilopascal": "{0}千帕",
        "pressure-megapascal": "{0}兆帕", "energy-sievert": "{0}西弗",
        "consumption-liter-per-100-kilometer": "每百公里{0}升",
        "force-kilowatt-hour-per-100-kilometer": "每百公里{0}千瓦时",
    },
    prefixes={"Ki": "千比", "Mi": "兆比", "Gi": "吉比", "Ti": "太比"},
    per={"": "每{1}{0}"},
    before_numbers={"No.": "第", "no.": "第"},
    codes="密码 验证码 代码 口令 PIN",
    copulas="是 为 ：",
    counters=frozenset(
        "个 只 位 条 件 台 次 天 点 块 种 张 本 杯 间 盏 扇 部 辆 家 人 周 年 层 根 份 篇 瓶 双 片 名 套 项 公里 米 厘米 毫米 公斤 千克 克 吨 升 毫升 小时 分钟 秒 度 摄氏"
        " 华氏 瓦 千瓦 伏 安 元 美元 欧元 英镑 英里 英寸 英尺 日元 平方 立方 百帕 千帕 赫兹 勒克斯 分贝 兆 吉 太 字节 磅"
        " 万 亿 百万 倍 摩尔 节 伏安 毫安 毫秒 欧姆 毫伏 微克 毫克 千赫 千欧 加仑 盎司 公顷".split()
    ),
)  # fmt: skip

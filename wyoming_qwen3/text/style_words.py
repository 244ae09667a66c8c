"""Single words that direct the voice, as assistants write them in brackets, and the style that each stands for.

A style is an instruction in English, which Qwen3-TTS follows in each of its languages. The words are those that
prompts for expressive speech models teach (ElevenLabs v3, Gemini, gpt-4o-mini-tts, Orpheus), with the forms that
language models make of them: `sad`, `sadly`, `in a sad voice`, `very sad`, `sad and quiet`, `laughs softly`.
"""

import unicodedata
from typing import NamedTuple

import regex


class StyleWord(NamedTuple):
    """A style, and whether it is a sound, which is made once."""

    style: str
    is_sound: bool = False


_MOODS = """
    affectionate afraid amazed amused angry annoyed anxious apologetic ashamed astonished authoritative awkward bitter
    bored breathless calm caring casual cautious cheerful comforting compassionate concerned confident confused
    conspiratorial contemptuous curious dejected delighted depressed desperate determined disappointed disgruntled
    disgusted dramatic dreamy drunk eager ecstatic elated embarrassed emotional empathetic encouraging energetic
    enthusiastic envious exasperated excited exhausted fearful flirty formal friendly frightened frustrated furious
    gentle gloomy grateful grumpy guilty happy heartbroken helpful hesitant hopeful horrified humorous hurried
    hysterical impatient impressed intense intimate ironic irritated jealous joyful joyous lively lonely loving
    lyrical melancholic melancholy mischievous mocking monotone mysterious nervous neutral nostalgic optimistic outraged
    panicked passionate peaceful pensive playful pleading polite proud quiet rebellious reassuring reflective
    regretful relaxed relieved resigned respectful robotic sad sarcastic scared serious shocked shy sincere skeptical
    sleepy smug soft solemn soothing spooky stern strained stressed strict suave surprised suspicious sweet sympathetic
    teasing tearful tender tense terrified thoughtful threatening thrilled timid tired triumphant unfriendly uncertain
    upbeat upset urgent vulnerable warm weary whimsical worried
"""
"""Adjectives: the style is "in a sad voice"."""

_OTHER_MOODS = "bright cold cool dark deep dry flat high hoarse husky loud low normal rough strong weak"
"""Adjectives that in brackets alone may be no voice tag, as in "fan: [low]", but are one with "voice" or "tone"."""

_NOUNS = {
    "amusement": "amused", "anger": "angry", "boredom": "bored", "concern": "concerned", "confidence": "confident",
    "confusion": "confused", "curiosity": "curious", "disappointment": "disappointed", "disbelief": "skeptical",
    "enthusiasm": "enthusiastic", "excitement": "excited", "fear": "fearful", "frustration": "frustrated",
    "happiness": "happy", "irony": "ironic", "joy": "joyful", "panic": "panicked", "pride": "proud",
    "relief": "relieved", "sadness": "sad", "sarcasm": "sarcastic", "sorrow": "sad", "surprise": "surprised",
    "warmth": "warm", "worry": "worried", "sceptical": "skeptical",
}  # fmt: skip

_MANNERS = {
    "whispering": "whisper whispers whispered whispering whispery",
    "shouting": "shout shouts shouted shouting yell yells yelled yelling scream screams screamed screaming",
    "murmuring": "murmur murmurs murmured murmuring mutters muttered muttering mumbles mumbled mumbling",
    "singing": "sings sang singing",
    "stuttering": "stutters stuttered stuttering stammers stammering",
    "sobbing": "sobs sobbing cries crying weeps weeping",
    "speaking slowly": "slow slowly drawn-out",
    "speaking fast": "rushed fast quickly rapidly rushing rapid-fire",
    "speaking loudly": "loudly",
    "speaking with emphasis": "emphasis emphatic emphatically emphasized",
}
"""Ways to speak, which last like a mood."""

_SOUNDS = {
    "laughing": "laugh laughs laughed laughing laughter",
    "chuckling": "chuckle chuckles chuckled chuckling",
    "giggling": "giggle giggles giggled giggling",
    "snickering": "snicker snickers snickering snorts cackles",
    "sighing": "sigh sighs sighed sighing exhale exhales exhaling",
    "gasping": "gasp gasps gasped gasping inhale inhales inhaling",
    "yawning": "yawn yawns yawned yawning",
    "groaning": "groan groans groaned groaning moan moans moaning grunts",
    "coughing": "cough coughs coughed coughing",
    "sniffling": "sniff sniffs sniffing sniffle sniffles sniffling",
    "clearing the throat": "clears_throat clearing_throat clears_his_throat clears_her_throat",
    "gulping": "gulp gulps gulping swallows",
    "humming": "hums humming",
    "smiling": "smile smiles smiled smiling grin grins grinning",
}

_ELSEWHERE = {
    "happy": "glücklich fröhlich joyeux joyeuse heureux heureuse feliz alegre felice allegro allegra радостно весело"
    " 开心 高兴 快乐 嬉しそうに 楽しそうに 기쁘게 행복하게",
    "sad": "traurig triste tristement tristemente грустно печально 悲伤 难过 悲しそうに 悲しい 슬프게 슬픈",
    "angry": "wütend verärgert fâché fâchée énervé enfadado enfadada enojado enojada irritado irritada arrabbiato"
    " arrabbiata сердито злобно 生气 愤怒 怒って 怒りながら 화나서 화난",
    "excited": "aufgeregt begeistert excité excitée enthousiaste emocionado emocionada animado animada entusiasmado"
    " entusiasmada entusiasta emozionato emozionata взволнованно восторженно 兴奋 激动 興奮して 신나게 흥분해서",
    "calm": "ruhig gelassen calme calmement tranquilo tranquila calmo calma tranquillo tranquilla спокойно 平静 冷静"
    " 落ち着いて 차분하게",
    "serious": "ernst sérieux sérieuse sérieusement serio seria sério séria серьёзно серьезно 严肃 認真 真剣に"
    " 진지하게",
    "cheerful": "heiter gai gaie enjoué enjouée alegremente allegramente жизнерадостно 愉快 欢快 明るく 명랑하게 밝게",
    "surprised": "überrascht surpris surprise sorprendido sorprendida surpreso surpresa sorpreso удивлённо удивленно"
    " 惊讶 吃惊 驚いて 놀라서",
    "tired": "müde fatigué fatiguée cansado cansada stanco stanca устало 疲惫 疲れて 지쳐서 피곤하게",
    "gentle": "sanft doux douce doucement suave gentile dolcemente нежно ласково мягко 温柔 優しく 다정하게 부드럽게",
    "worried": "besorgt inquiet inquiète preocupado preocupada preoccupato preoccupata встревоженно озабоченно 担心"
    " 心配そうに 걱정스럽게",
    "whispering": "flüstert flüsternd geflüstert chuchote chuchotant chuchoté susurra susurrando sussurra sussurrando"
    " шепчет шёпотом шепотом 低语 耳语 小声 悄声 ささやく ささやいて 小声で 속삭이며 속삭임",
    "shouting": "ruft schreit rufend crie criant grita gritando urla gridando кричит 大喊 喊叫 叫んで 소리치며",
    "speaking slowly": "langsam lentement despacio devagar lentamente медленно 缓慢 慢慢地 ゆっくり 천천히",
    "speaking fast": "schnell rapidement rápidamente rapidamente velocemente быстро 快速 早口で 빠르게",
    "laughing": "lacht lachend lachen rit riant rires ríe riendo risas rindo risos ridendo risate"
    " смеётся смеется смеясь смех 笑 笑声 大笑 笑い 笑って 笑いながら 웃음 웃으며",
    "chuckling": "kichert kichernd ricane ricanant хихикает 轻笑 くすくす笑う 킥킥",
    "sighing": "seufzt seufzend seufzen seufzer soupire soupirant soupir suspira suspirando suspiro sospira sospirando"
    " sospiro вздыхает вздох 叹气 叹息 ため息 한숨",
    "yawning": "gähnt gähnend bâille bâillant bosteza bostezando boceja bocejando sbadiglia sbadigliando зевает 打哈欠"
    " あくび 하품",
    "coughing": "hustet tousse tose tosse tossisce кашляет 咳嗽 咳 기침",
    "smiling": "lächelt lächelnd sourit souriant sonríe sonriendo sorri sorrindo sorride sorridendo улыбается 微笑"
    " 微笑んで 미소 미소지으며",
}
"""Style, or the adjective for one, -> words in the other languages of Qwen3-TTS."""

_ROLES = {
    "advertisement_upbeat": "in an upbeat voice, as in an advertisement",
    "assistant": "like a helpful assistant",
    "chat": "in a casual voice, as in a chat",
    "conversational": "in a casual voice, as in a conversation",
    "customerservice": "in a friendly voice, as in customer service",
    "documentary-narration": "like the narrator of a documentary",
    "fun": "in a playful voice",
    "livecommercial": "like a lively presenter of products",
    "long-form": "like the reader of an audiobook",
    "music": "like the presenter of music on the radio",
    "narration-professional": "like a professional narrator",
    "narration-relaxed": "like a relaxed narrator",
    "news": "like a newsreader",
    "newscast": "like a newsreader",
    "newscast-casual": "like a casual newsreader",
    "newscast-formal": "like a formal newsreader",
    "poetry-reading": "like a reader of poems",
    "sports-commentary": "like a sports commentator",
    "sports-commentary-excited": "like an excited sports commentator",
    "story": "like a storyteller",
}
"""Styles of the clouds' voices that are no adjectives."""


def read_style_words(words: str) -> tuple[StyleWord, ...] | None:
    """Return the styles that a phrase in brackets stands for; None if any part of it is none."""
    parts = _BETWEEN.split(" ".join(unicodedata.normalize("NFC", words).lower().split()))
    found = [_read_phrase(part) for part in parts]
    return None if None in found else tuple(word for word in found if word)


def named_style(name: str, degree: str = "") -> str:
    """Return the style that a cloud's voice calls `name`; `degree` is "slightly", "very" or none."""
    key = name.strip().lower().replace("_", "-")
    if key in _ROLES:
        return _ROLES[key]
    phrase = " ".join(key.replace("-", " ").split())
    word = _WORDS.get(phrase)
    if word is None or phrase in _ADJECTIVES:
        return in_a_voice(f"{degree} {phrase}".strip())
    return f"{ {'very': 'intensely'}.get(degree, degree) } {word.style}".strip()


def in_a_voice(adjective: str) -> str:
    """Return the style for an adjective."""
    return f"in {'an' if adjective[:1] in 'aeiou' else 'a'} {adjective} voice"


_ADJECTIVES = frozenset(_MOODS.split())
_WORDS: dict[str, StyleWord] = {
    **{mood: StyleWord(in_a_voice(mood)) for mood in _ADJECTIVES},
    **{noun: StyleWord(in_a_voice(mood)) for noun, mood in _NOUNS.items()},
    **{word: StyleWord(manner) for manner, words in _MANNERS.items() for word in words.split()},
    **{word.replace("_", " "): StyleWord(sound, True) for sound, words in _SOUNDS.items() for word in words.split()},
}
_WORDS |= {
    word: StyleWord(style, True) if style in _SOUNDS else StyleWord(style if style in _MANNERS else in_a_voice(style))
    for style, words in _ELSEWHERE.items()
    for word in words.split()
    if word not in _WORDS
}

_BETWEEN = regex.compile(r"\s?[,，、&]\s?|\s(?:and|then|but)\s")
_PHRASE = regex.compile(
    r"""(?x)(?:(?:speaking|speaks|said|says|saying|sounding|sounds|talking)\s)?
    (?:(?:in|with)\s)?(?:an?\s(?!bit\b|little\b))?(?:(?P<degree>very|really|extremely|so|slightly|somewhat|a\sbit|a\slittle|quite)\s)?
    (?P<words>.+?)(?P<voice>\s(?:voice|tone|manner|way))?"""
)
_DEGREES = {"really": "very", "extremely": "extremely", "so": "very", "a bit": "slightly", "a little": "slightly"}


def _read_phrase(phrase: str) -> StyleWord | None:
    if phrase in _WORDS:
        return _WORDS[phrase]
    found = _PHRASE.fullmatch(phrase)
    if found is None:
        return None
    degree = _DEGREES.get(found["degree"], found["degree"] or "")
    core = found["words"]
    adjective = core if core in _ADJECTIVES else _NOUNS.get(core) or _adjective_of(core)
    if adjective is None and found["voice"] and core in _OTHER_MOODS.split():
        adjective = core
    if adjective:
        return StyleWord(in_a_voice(f"{degree} {adjective}".strip()))
    return _WORDS.get(core) or _read_act(core)


def _adjective_of(adverb: str) -> str | None:
    """Return the adjective of an English adverb: sadly, happily, gently, dramatically."""
    if not adverb.endswith("ly"):
        return None
    stem = adverb[:-2]
    moods = (stem, stem[:-1] + "y", stem + "le", stem.removesuffix("al"), adverb)
    return next((mood for mood in moods if mood in _ADJECTIVES), None)


def _read_act(phrase: str) -> StyleWord | None:
    """Read a sound or manner with an adverb before or after it."""
    first, _, second = phrase.partition(" ")
    for act, adverb in ((first, second), (second, first)):
        word = _WORDS.get(act)
        if word and act not in _ADJECTIVES and _ADVERB.fullmatch(adverb):
            return StyleWord(f"{word.style} {adverb}", word.is_sound)
    return None


_ADVERB = regex.compile(r"[a-z]{3,15}ly|hard|loud|again")

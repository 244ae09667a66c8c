"""Checks what may be stored as a voice, independent of all other voices."""

from wyoming_qwen3.core.errors import InstructionsNotSupported, InvalidRequest
from wyoming_qwen3.core.request import MAX_SPEED, MIN_SPEED
from wyoming_qwen3.core.speakers import check_voice_name

from .voice import KeptVoice, is_id

MAX_CHARACTERS = 10_000
"""Maximum length of a text."""

MAX_VOICE_CLIPS = 32
"""Maximum number of clips of a voice."""


def check_name(name: str) -> str:
    """Return the name as `check_voice_name` does. Also raises InvalidRequest if it looks like an ID."""
    clean = check_voice_name(name)
    if is_id(clean.lower()):
        raise InvalidRequest("A voice's name must not look like an ID.", param="name")
    return clean


def check_voice(voice: KeptVoice) -> None:
    """Raise InvalidRequest or InstructionsNotSupported if the voice can't be stored or can't speak."""
    manner, design = voice.manner, voice.design
    if len(voice.samples) > MAX_VOICE_CLIPS:
        raise InvalidRequest(f"A voice has at most {MAX_VOICE_CLIPS} recordings.", param="samples")
    if manner.speaker is not None and voice.samples:
        raise InvalidRequest("A voice has a speaker or recordings, not both.", param="voice")
    if manner.instructions and manner.speaker is None:
        raise InstructionsNotSupported("Only a voice with a speaker follows instructions.", param="instructions")
    if not MIN_SPEED <= manner.speed <= MAX_SPEED:
        raise InvalidRequest(
            f"speed must be between {MIN_SPEED} and {MAX_SPEED}, but is {manner.speed}.", param="speed"
        )
    check_words(voice.folder, "folder")
    check_words(voice.digest, "digest")
    check_words(manner.description, "description")
    check_words(manner.instructions, "instructions")
    check_words(manner.consent, "consent")
    if design is not None:
        check_words(design.description, "description")
        check_words(design.sample_text, "sample_text")
        check_words(design.model, "model")


def check_words(text: str | None, param: str) -> None:
    """Raise InvalidRequest if the text is longer than MAX_CHARACTERS or has lone surrogates, which can't be encoded."""
    if text is None:
        return
    if len(text) > MAX_CHARACTERS:
        raise InvalidRequest(f"{param} has at most {MAX_CHARACTERS} characters.", param=param)
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidRequest(f"{param} must be valid Unicode.", param=param)

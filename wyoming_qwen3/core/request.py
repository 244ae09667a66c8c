"""What a surface requests of `speech/`: frozen, validated once, and independent of any protocol."""

import secrets
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from .checkpoints import Kind, Size
from .effects import Effect
from .errors import InvalidRequest
from .speakers import Language, Speaker

MIN_SPEED, MAX_SPEED = 0.25, 4.0
"""Range of the speed of speech; 1 is as the model speaks."""

StandbyMode = Literal["auto", "off", "only"]
"""When the standby voice speaks: while Qwen3 can't, never, or always."""

BackendName = Literal["native", "vllm"]
"""What generates speech: the engine process on this machine, or vLLM-Omni servers."""

TextStreaming = Literal["sentence", "token"]
"""How text that still arrives is spoken: piece by piece, or fed to the model's own text track."""

Normalization = Literal["auto", "units", "all", "off"]
"""What of a text is written out in words before it is spoken.

`units` is for units, signs, currencies, dates and times, `all` for numbers too; `auto` depends on language and voice.
"""

StartMode = Literal["auto", "asap"]
"""When the first audio is sent: when playback is expected not to stall, or as soon as there is any."""

VoiceFallback = Literal["auto", "on", "off"]
"""Where the default voice replaces one that is not available.

With auto over Wyoming, and over HTTP only for the built-in voices of other servers; with on everywhere; with off
nowhere. Home Assistant treats a failed answer as if it had been spoken, and only its log says why. HTTP clients see
errors.
"""

FloatArray: TypeAlias = npt.NDArray[np.float32]
CodeArray: TypeAlias = npt.NDArray[np.int64]

SAMPLE_RATE = 24_000
"""Sample rate in Hz of all audio that Qwen3-TTS generates; it is mono."""

FRAME_SAMPLES = 1_920
"""Samples in one codec frame of 80 ms; there are 12.5 frames per second."""


class Priority(IntEnum):
    """How soon the audio of a row is needed."""

    NOW = 0
    """Somebody is listening to it or waiting for it."""

    NEXT = 1
    """It continues what somebody is listening to."""

    LAST = 2
    """Nobody waits for this row in particular: it is an item of a batch or a turn of a conversation."""


RANGES = {"temperature": (0.0, 5.0), "top_p": (0.01, 1.0), "repetition_penalty": (0.5, 5.0)}
"""The lowest and the highest accepted value of each number of `Sampling`."""

WHOLE_RANGES = {"top_k": (0, 3072), "seed": (0, 2**63 - 1), "max_frames": (1, 32_000)}
"""The same for its whole numbers."""


@dataclass(frozen=True)
class Sampling:
    """How codes are drawn. None means the checkpoint's own default, from its generation_config.json.

    Each value applies to both the talker and the code predictor, except the repetition penalty, which only the talker
    has. Raises InvalidRequest for values out of range.
    """

    temperature: float | None = None
    """0 takes the likeliest code each time (greedy)."""

    top_k: int | None = None
    """0 keeps all codes."""

    top_p: float | None = None
    repetition_penalty: float | None = None
    seed: int | None = None
    """The same seed and text give the same speech on the same machine. None draws a new one."""

    max_frames: int | None = None
    """Maximum number of codec frames for one piece of text, besides the limit that depends on the text's length.

    Speech that reaches it is an error.
    """

    def __post_init__(self) -> None:
        for name, (low, high) in (RANGES | WHOLE_RANGES).items():
            _check(name, getattr(self, name), low, high)


def _check(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise InvalidRequest(f"{name} must be between {low} and {high}, but is {value}.", param=name)


def new_seed() -> int:
    """Return a random seed that JSON's numbers hold exactly."""
    return secrets.randbits(48)


@dataclass(frozen=True)
class Description:
    """A voice described in words, for VoiceDesign."""

    text: str


@dataclass(frozen=True, eq=False)
class Reference:
    """A clip of the voice to clone.

    `samples` is mono float32 [samples] in [-1, 1] at `sample_rate`. `text` is what is said in the clip. Without it only
    the timbre is cloned (x-vector); with it the model continues the clip (in-context learning).
    """

    samples: FloatArray
    sample_rate: int
    text: str | None = None


@dataclass(frozen=True, eq=False)
class ClonePrompt:
    """What Base needs to clone a voice. It is extracted once and stored.

    `speaker_embedding` is float32 [hidden]. With `codes`, int64 [frames, 16], and their `text`, the model continues the
    clip; without both it uses the embedding alone. Raises InvalidRequest if only one of the two is given.
    """

    speaker_embedding: FloatArray
    codes: CodeArray | None = None
    text: str | None = None

    def __post_init__(self) -> None:
        if (self.codes is None) != (self.text is None):
            raise InvalidRequest("A clone prompt has both codes and text, or neither.")


@dataclass(frozen=True)
class KeptVoiceRef:
    """A stored voice with clips, by its ID. `revision` changes with its clips."""

    id: str
    revision: str


Voice: TypeAlias = Speaker | Description | Reference | ClonePrompt | KeptVoiceRef


def kind_for(voice: Voice) -> Kind:
    """Return the kind of checkpoint that speaks with a voice."""
    if isinstance(voice, Speaker):
        return "custom_voice"
    return "voice_design" if isinstance(voice, Description) else "base"


@dataclass(frozen=True)
class SpeechRequest:
    """How to speak one utterance. Its text is not part of it, and may arrive during speech.

    Raises InvalidRequest for values out of range.
    """

    voice: Voice
    language: Language | None = None
    """If None, the model detects the language from the text."""

    instruct: str | None = None
    """How to speak, in words. Checkpoints that can't follow instructions speak without it, unless `strict`."""

    sampling: Sampling = field(default_factory=Sampling)
    ssml: bool = False
    """Whether the text is SSML: its tags are interpreted or dropped, not spoken."""

    speed: float = 1.0
    """Above 1 is faster. The pitch does not change."""

    length: int | None = None
    """Number of codec frames after which the utterance is cut off; None for no limit."""

    size: Size | None = None
    """Size of the checkpoint to speak with. None means the server's own size, if the kind exists in it."""

    standby: StandbyMode | None = None
    """When the standby voice may speak. None means the server's setting."""

    effects: tuple[Effect, ...] = ()
    """Effects that are applied in this order, after the speed."""

    voice_name: str | None = None
    """Name of the voice, if it is a stored one."""

    save: bool | None = None
    """Whether the speech is kept in the history. None means the server's setting."""

    strict: bool = False
    """Whether an instruction that can't be followed is an error."""

    warnings: tuple[str, ...] = ()
    """Sentences for the caller on what could be better, or differs from what was requested."""

    whole: bool = False
    """Whether only the complete speech is useful. Pieces are then sent when complete, and may be retried before."""

    def __post_init__(self) -> None:
        _check("speed", self.speed, MIN_SPEED, MAX_SPEED)
        _check("length", self.length, 1, 32_000)

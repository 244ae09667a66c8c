"""What a surface asks of the speaking middle. Frozen, validated once, free of any protocol."""

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

Backend = Literal["native", "vllm"]
"""Who makes the sound: the engine process on this machine, or vLLM-Omni servers somewhere."""

TextStreaming = Literal["sentence", "token"]
"""How text that is still being written is spoken: a piece at a time, or on the model's own text track."""

StartMode = Literal["auto", "asap"]
"""When an answer's first sound is sent: when playback will not stall, as far as can be told, or as soon as possible."""

VoiceFallback = Literal["auto", "on", "off"]
"""Where the default voice speaks for one that can't be had: over Wyoming alone, everywhere, or nowhere.

Home Assistant ends an answer that failed as if it were spoken, and only its log tells why; who asks over HTTP sees it.
"""

FloatArray: TypeAlias = npt.NDArray[np.float32]
CodeArray: TypeAlias = npt.NDArray[np.int64]

SAMPLE_RATE = 24_000
"""Hz, of all audio that Qwen3-TTS makes; mono."""

FRAME_SAMPLES = 1_920
"""Samples of one codec frame: 80 ms, 12.5 frames a second."""


class Priority(IntEnum):
    """When a row's sound is wanted."""

    NOW = 0
    """Somebody listens to it, or waits to."""

    NEXT = 1
    """It is the rest of what somebody listens to."""

    LAST = 2
    """Nobody waits for it alone: an item of a batch, a turn of a conversation."""


@dataclass(frozen=True)
class Sampling:
    """How codes are drawn. None means the checkpoint's own default (its generation_config.json).

    Each value applies to the talker and to the code predictor alike, but for the repetition penalty, which the
    code predictor does not have.
    """

    temperature: float | None = None
    """0 takes the likeliest code each time (greedy)."""

    top_k: int | None = None
    """0 keeps all codes."""

    top_p: float | None = None
    repetition_penalty: float | None = None
    seed: int | None = None
    """The same seed and text give the same speech on the same machine. None draws a fresh one."""

    max_frames: int | None = None
    """Upper bound of codec frames for one piece of text, on top of the guard that follows the text's length.

    Speech that reaches it has failed.
    """

    def __post_init__(self) -> None:
        _check("temperature", self.temperature, 0.0, 5.0)
        _check("top_k", self.top_k, 0, 3072)
        _check("top_p", self.top_p, 0.01, 1.0)
        _check("repetition_penalty", self.repetition_penalty, 0.5, 5.0)
        _check("seed", self.seed, 0, 2**63 - 1)
        _check("max_frames", self.max_frames, 1, 32_000)


def _check(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise InvalidRequest(f"{name} must be between {low} and {high}, but is {value}.", param=name)


@dataclass(frozen=True)
class Description:
    """A voice described in words, for VoiceDesign."""

    text: str


@dataclass(frozen=True, eq=False)
class Reference:
    """A clip of the voice to clone.

    `samples` is mono float32 in [-1, 1] at `sample_rate`. `text` is what the clip says; None clones the timbre
    alone (x-vector), else the clip is continued (in-context learning).
    """

    samples: FloatArray
    sample_rate: int
    text: str | None = None


@dataclass(frozen=True, eq=False)
class ClonePrompt:
    """What Base needs of a voice, extracted once and kept.

    `speaker_embedding` is float32 [hidden]. With `codes` (int64 [frames, 16]) and their `text` the reference is
    continued; without both only the embedding is used.
    """

    speaker_embedding: FloatArray
    codes: CodeArray | None = None
    text: str | None = None

    def __post_init__(self) -> None:
        if (self.codes is None) != (self.text is None):
            raise InvalidRequest("A clone prompt has both codes and text, or neither.")


@dataclass(frozen=True)
class Kept:
    """A cloned voice that the server keeps, by its id there; `revision` changes with its clips."""

    id: str
    revision: str


Voice: TypeAlias = Speaker | Description | Reference | ClonePrompt | Kept


def kind_for(voice: Voice) -> Kind:
    """The kind of checkpoint that speaks with a voice."""
    if isinstance(voice, Speaker):
        return "custom_voice"
    return "voice_design" if isinstance(voice, Description) else "base"


@dataclass(frozen=True)
class SpeechRequest:
    """One utterance, but for its text, which may come while it is spoken."""

    voice: Voice
    language: Language | None = None
    """None lets the model tell by the text."""

    instruct: str | None = None
    """How to speak, in words. Checkpoints that can't follow instructions speak without it, unless `strict`."""

    sampling: Sampling = field(default_factory=Sampling)
    ssml: bool = False
    """Whether the text is SSML: its tags are interpreted or dropped, not spoken."""

    speed: float = 1.0
    """Above 1 is faster; the pitch stays."""

    length: int | None = None
    """Codec frames of sound after which the utterance ends, said or not, because who asks wants no more."""

    size: Size | None = None
    """Size of the checkpoint to speak with. None is the server's own, where the kind exists in it."""

    standby: StandbyMode | None = None
    """When the standby voice may speak. None is as the server is set."""

    effects: tuple[Effect, ...] = ()
    """What is done to the sound, in this order, after the speed."""

    voice_name: str | None = None
    """What the voice is called, where the server keeps it."""

    save: bool | None = None
    """Whether the speech is kept in the history. None is as the server is set."""

    strict: bool = False
    """Whether an instruction that can't be followed is an error."""

    warnings: tuple[str, ...] = ()
    """What could be better about what was asked for, or is otherwise, a sentence each, for whoever asked."""

    whole: bool = False
    """Whether it is of use as a whole only: a piece is sent when all of it is made, and can be made anew until then."""

    def __post_init__(self) -> None:
        _check("speed", self.speed, MIN_SPEED, MAX_SPEED)
        _check("length", self.length, 1, 32_000)

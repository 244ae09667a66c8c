"""Makes a kept voice from a description: VoiceDesign speaks a sample, and Base extracts a clone prompt from it, once.

Knows no protocol. The model manager loads and unloads the checkpoints, as for any other speech.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from wyoming_qwen3.core.checkpoints import Checkpoint, published
from wyoming_qwen3.core.errors import InvalidRequest, NameExists, NotFound
from wyoming_qwen3.core.request import (
    FRAME_SAMPLES,
    SAMPLE_RATE,
    ClonePrompt,
    Description,
    FloatArray,
    Reference,
    Sampling,
    SpeechRequest,
    new_seed,
)
from wyoming_qwen3.core.speakers import Language
from wyoming_qwen3.models.manager import ModelManager
from wyoming_qwen3.store.clips import Clips, StoredClip
from wyoming_qwen3.store.voices import wav
from wyoming_qwen3.store.voices.checks import check_name
from wyoming_qwen3.store.voices.store import VoiceStore
from wyoming_qwen3.store.voices.voice import Design, KeptVoice, Manner
from wyoming_qwen3.text.pieces import SpokenPiece, segments_of
from wyoming_qwen3.voices.clone_prompts import ClonePrompts, prepare

from .session import Synthesizer

DesignStage = Literal["loading", "speaking", "cloning", "saving"]

SHORTEST, LONGEST = 1.0, 30.0
"""Shortest and longest sample that a voice can be made from, in seconds."""

MAX_CHARACTERS = 1000
"""Longest sample text: more than anybody says in `LONGEST` seconds."""

_SAMPLE_TEXTS = {
    "zh": "今天的天气很好，我们打开窗户，听一听外面的鸟叫声。你准备好出发了吗？",
    "en": "The kettle is warm, the lights are low, and nobody is in a hurry. Shall we begin with the good news?",
    "ja": "窓を開けると、やわらかい風が部屋に入ってきます。さあ、今日は何から始めましょうか。",
    "ko": "창문을 열면 부드러운 바람이 방 안으로 들어옵니다. 자, 오늘은 무엇부터 시작할까요?",
    "de": "Der Kessel ist warm, das Licht gedämpft, und niemand hat es eilig. Beginnen wir mit der guten Nachricht?",
    "fr": "La bouilloire est chaude, la lumière est douce, personne n'est pressé. On commence par la bonne nouvelle ?",
    "ru": "Чайник ещё тёплый, свет приглушён, и никто не торопится. Начнём с хороших новостей?",
    "pt": "A chaleira está quente, a luz está baixa e ninguém tem pressa. Vamos começar pela boa notícia?",
    "es": "La tetera está caliente, la luz es suave y nadie tiene prisa. ¿Empezamos por la buena noticia?",
    "it": "Il bollitore è caldo, la luce è bassa e nessuno ha fretta. Cominciamo dalla buona notizia?",
}


@dataclass(frozen=True, eq=False)
class VoicePreview:
    """A voice that was made from a description and is not kept yet: its design, and the clip as it would be kept."""

    clip: Reference
    design: Design
    language: Language | None

    @property
    def seconds(self) -> float:
        """Length of the clip in seconds."""
        return self.clip.samples.size / self.clip.sample_rate


def sample_text(language: Language | None) -> str:
    """Return the default sample text in a language: about seven seconds, a statement and a question."""
    return _SAMPLE_TEXTS[language.code if language else "en"]


def _untold(_: DesignStage) -> None:
    """Ignore the stage, for callers that don't ask for it."""


class VoiceDesigner:
    """Makes voices from descriptions and keeps them. The `tell` callbacks are called when a stage starts."""

    def __init__(
        self, synthesizer: Synthesizer, models: ModelManager, prompts: ClonePrompts, voices: VoiceStore
    ) -> None:
        self._synthesizer = synthesizer
        self._models = models
        self._prompts = prompts
        self._voices = voices

    @property
    def checkpoints(self) -> tuple[Checkpoint, Checkpoint]:
        """The checkpoints that are needed to make and keep a voice: VoiceDesign and Base."""
        return published("voice_design", self._models.size), published("base", self._models.size)

    async def check(self, name: str | None, *, overwrite: bool = False) -> None:
        """Check, before anything is spoken, that the voice can be made and kept. Without a name it is not to be kept.

        Raises InvalidRequest if the name is not allowed, NameExists if it is taken and `overwrite` is False, and
        Unavailable if a checkpoint that is needed is not available. All that are missing then start to download, if the
        server may download them.
        """
        if name is not None:
            self._check_name(name, overwrite=overwrite)
        needed = self.checkpoints if name is not None else self.checkpoints[:1]
        missing = [await self._synthesizer.backends.missing(checkpoint) for checkpoint in needed]
        if first := next(filter(None, missing), None):
            raise first

    async def preview(
        self,
        description: str,
        text: str,
        language: Language | None,
        sampling: Sampling,
        tell: Callable[[DesignStage], None] = _untold,
    ) -> VoicePreview:
        """Let a voice as described speak `text`. The same seed gives the same voice.

        Raises a SpeechError if it can't be spoken, and InvalidRequest if the clip is too short or too long.
        """
        said = await asyncio.to_thread(_said, text)
        seed = new_seed() if sampling.seed is None else sampling.seed
        request = SpeechRequest(
            Description(description),
            language,
            sampling=replace(sampling, seed=seed),
            standby="off",
            length=_MAX_FRAMES,
            save=False,
        )
        chunks: list[FloatArray] = []
        tell("loading")
        async with self._synthesizer.open(request, "design", [SpokenPiece(said)]) as session:
            session.add_text(said)
            session.end_text()
            async for chunk in session:
                if not chunks:
                    tell("speaking")
                chunks.append(chunk)
        samples = np.concatenate(chunks)
        _check_length(samples.size / SAMPLE_RATE, cut=session.report.outcome == "cut")
        clip = await asyncio.to_thread(_as_kept, Reference(samples, SAMPLE_RATE, said))
        return VoicePreview(clip, Design(description, text, seed, session.report.model), language)

    async def keep(
        self,
        name: str,
        preview: VoicePreview,
        manner: Manner,
        tell: Callable[[DesignStage], None] = _untold,
        *,
        overwrite: bool = False,
    ) -> KeptVoice:
        """Keep a preview as a preset that is ready to speak.

        Raises a SpeechError if that fails; then nothing is kept, and a voice that was to be overwritten stays.
        """
        base = self.checkpoints[1]
        prompt = (base.size, await self._prompt(base, preview, tell)) if await self._extracts(base) else None
        tell("saving")
        return await self._voices.create(
            name,
            "preset",
            manner,
            [preview.clip],
            design=preview.design,
            prompt=prompt,
            overwrite=overwrite,
        )

    async def _extracts(self, base: Checkpoint) -> bool:
        """Return whether this machine's engine will clone the voice. A vLLM server would get the clip each time."""
        return self._models.has_engine and (await self._models.want(base)).available

    async def _prompt(
        self, base: Checkpoint, preview: VoicePreview, tell: Callable[[DesignStage], None]
    ) -> ClonePrompt:
        """Return the clone prompt that the checkpoint extracts from the clip."""
        reference = await asyncio.to_thread(prepare, [preview.clip])
        tell("loading")
        async with self._models.use(base) as worker:
            tell("cloning")
            return await self._prompts.prompt(worker, base, reference)

    def _check_name(self, name: str, *, overwrite: bool) -> None:
        """Raise the error that the store would raise for the name."""
        if self._voices.find(check_name(name)) and not overwrite:
            raise NameExists(
                f"There is a voice called {name} already; choose another name, or send overwrite true.", param="name"
            )


class VoicePreviews:
    """Previews that somebody may want to keep. Their clips are stored in `clips` and expire like all clips there.

    Only the latest `_REMEMBERED` are remembered, and none after a restart.
    """

    def __init__(self, clips: Clips) -> None:
        self._clips = clips
        self._drawn: OrderedDict[str, tuple[Design, Language | None, str | None]] = OrderedDict()

    async def add(self, preview: VoicePreview) -> StoredClip:
        """Store the preview's clip, so that it can be played. Its ID is also the preview's. Raises StorageFailed."""
        clip = await self._clips.add(await asyncio.to_thread(wav.pack, preview.clip), "wav", preview.seconds)
        self._drawn[clip.id] = preview.design, preview.language, preview.clip.text
        if len(self._drawn) > _REMEMBERED:
            self._drawn.popitem(last=False)
        return clip

    async def get(self, clip_id: str) -> VoicePreview:
        """Return the preview with that clip. Raises NotFound if there is none, or no longer."""
        try:
            design, language, said = self._drawn[clip_id]
            data = await asyncio.to_thread(self._clips.path(clip_id).read_bytes)
        except (KeyError, NotFound, FileNotFoundError):
            raise NotFound(
                "There is no preview with this ID, or it has expired; make another one.", param="preview_id"
            ) from None
        return VoicePreview(await asyncio.to_thread(wav.unpack, data, said), design, language)


_REMEMBERED = 64
_MAX_FRAMES = round(LONGEST * SAMPLE_RATE / FRAME_SAMPLES)


def _said(text: str) -> str:
    """Return what is spoken of a text as one piece, so that the voice is the same throughout.

    Raises InvalidRequest if there is nothing to speak.
    """
    segments = segments_of(text, max_chars=max(len(text), 1))
    said = " ".join(segment.text for segment in segments if isinstance(segment, SpokenPiece))
    if not said:
        raise InvalidRequest(
            "There is nothing to speak in the sample text; send a sentence or two.", param="sample_text"
        )
    return said


def _check_length(seconds: float, *, cut: bool) -> None:
    if cut or not SHORTEST <= seconds <= LONGEST:
        takes = f"more than {LONGEST:g} s" if cut else f"{seconds:.1f} s"
        raise InvalidRequest(
            f"The sample text takes {takes} to speak; one of {SHORTEST:g} to {LONGEST:g} s is needed, best of 5 to 15.",
            param="sample_text",
        )


def _as_kept(clip: Reference) -> Reference:
    """Return the clip rounded to 16 bits, so that what is extracted from it is the same as from the stored file."""
    return wav.unpack(wav.pack(clip), clip.text)

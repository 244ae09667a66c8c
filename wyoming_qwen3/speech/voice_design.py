"""A voice from words that stays: VoiceDesign speaks a sample, and Base reads out of it, once, what it clones by.

Knows no protocol. Loading and unloading in between is the model manager's, as for any other speech.
"""

import asyncio
import secrets
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
)
from wyoming_qwen3.core.speakers import Language
from wyoming_qwen3.models.manager import ModelManager
from wyoming_qwen3.store.clips import Clips, StoredClip
from wyoming_qwen3.store.voices import wav
from wyoming_qwen3.store.voices.checks import check_name
from wyoming_qwen3.store.voices.store import VoiceStore
from wyoming_qwen3.store.voices.voice import Design, KeptVoice, Manner
from wyoming_qwen3.text.pieces import Script, SpokenPiece
from wyoming_qwen3.voices.clone_prompts import ClonePrompts, prepare

from .session import Synthesizer

Stage = Literal["loading", "speaking", "cloning", "saving"]

SHORTEST, LONGEST = 1.0, 30.0
"""Seconds of a sample that a voice can be read from."""

MAX_CHARACTERS = 1000
"""Of a sample text: more than anybody says in that time."""

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
    """A voice that was made from words and is not kept yet: how, and the clip, as it would be kept."""

    clip: Reference
    design: Design
    language: Language | None

    @property
    def seconds(self) -> float:
        """Of the clip."""
        return self.clip.samples.size / self.clip.sample_rate


def sample_text(language: Language | None) -> str:
    """What a new voice says where nobody has said what: some seven seconds, a statement and a question."""
    return _SAMPLE_TEXTS[language.code if language else "en"]


def _untold(_: Stage) -> None:
    """For who does not ask how far it is."""


class VoiceDesigner:
    """Makes voices from words and keeps them. `tell` hears of each stage when it begins."""

    def __init__(
        self, synthesizer: Synthesizer, models: ModelManager, prompts: ClonePrompts, voices: VoiceStore
    ) -> None:
        self._synthesizer = synthesizer
        self._models = models
        self._prompts = prompts
        self._voices = voices
        self.checkpoints = published("voice_design", models.size), published("base", models.size)
        """What it takes to make a voice."""

    async def check(self, name: str | None, *, overwrite: bool = False) -> None:
        """Find out before anything is spoken what would go wrong after it; without a name nothing is to be kept.

        Raises InvalidRequest for a name that can't be had, NameExists, and Unavailable while a checkpoint that it takes
        is nowhere: the download of all of them begins, if the server may.
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
        tell: Callable[[Stage], None] = _untold,
    ) -> VoicePreview:
        """Have `text` spoken by a voice as described. The same seed gives the same voice.

        Raises a SpeechError where it can't be spoken, and InvalidRequest where the clip would be of no use.
        """
        said = await asyncio.to_thread(_said, text)
        seed = secrets.randbits(48) if sampling.seed is None else sampling.seed
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
            session.feed(said)
            session.finish()
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
        tell: Callable[[Stage], None] = _untold,
        *,
        overwrite: bool = False,
    ) -> KeptVoice:
        """Keep a preview as a preset that is ready to speak.

        Raises a SpeechError where that fails; nothing is kept then, and what was to be overwritten stays.
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
        """Whether it is this machine's engine that will clone the voice, and not a server that hears the clip anew."""
        return self._models.has_engine and (await self._models.look(base)).available

    async def _prompt(self, base: Checkpoint, preview: VoicePreview, tell: Callable[[Stage], None]) -> ClonePrompt:
        """What the checkpoint reads out of the clip."""
        reference = await asyncio.to_thread(prepare, [preview.clip])
        tell("loading")
        async with self._models.use(base) as worker:
            tell("cloning")
            return await self._prompts.prompt(worker, base, reference)

    def _check_name(self, name: str, *, overwrite: bool) -> None:
        """Raise what the store would raise for the name."""
        if self._voices.find(check_name(name)) and not overwrite:
            raise NameExists(
                f"There is a voice called {name} already; choose another name, or send overwrite true.", param="name"
            )


class VoicePreviews:
    """Sketches that somebody has heard and may want to keep: their clips are among `clips`, and go as those go.

    Only the latest are remembered, and none after a restart.
    """

    def __init__(self, clips: Clips) -> None:
        self._clips = clips
        self._drawn: OrderedDict[str, tuple[Design, Language | None, str | None]] = OrderedDict()

    async def add(self, preview: VoicePreview) -> StoredClip:
        """Put its clip where it can be heard; by the clip's id the preview is found. Raises StorageFailed."""
        clip = await self._clips.add(await asyncio.to_thread(wav.pack, preview.clip), "wav", preview.seconds)
        self._drawn[clip.id] = preview.design, preview.language, preview.clip.text
        if len(self._drawn) > _REMEMBERED:
            self._drawn.popitem(last=False)
        return clip

    async def get(self, clip_id: str) -> VoicePreview:
        """The preview of that clip. Raises NotFound."""
        try:
            design, language, said = self._drawn[clip_id]
            data = await asyncio.to_thread(self._clips.path(clip_id).read_bytes)
        except (KeyError, NotFound, FileNotFoundError):
            raise NotFound(
                "There is no preview of that id, or not any more; make another one.", param="preview_id"
            ) from None
        return VoicePreview(await asyncio.to_thread(wav.unpack, data, said), design, language)


_REMEMBERED = 64
_MAX_FRAMES = round(LONGEST * SAMPLE_RATE / FRAME_SAMPLES)


def _said(text: str) -> str:
    """What is spoken of a text, in one piece, so that the voice is one. Raises InvalidRequest where it is nothing."""
    script = Script(max_chars=max(len(text), 1))
    script.feed(text)
    script.finish()
    said = " ".join(segment.text for segment in iter(script.take, None) if isinstance(segment, SpokenPiece))
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
    """In 16 bits, so that what is read out of it now is what will be read out of the file."""
    return wav.unpack(wav.pack(clip), clip.text)

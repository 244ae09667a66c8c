"""Clone prompts, found wherever they are: remembered, kept on disk, or extracted from clips, once."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Sequence

from wyoming_qwen3.audio.reference import combine
from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.errors import VoiceNotFound
from wyoming_qwen3.core.request import ClonePrompt, Kept, Reference
from wyoming_qwen3.models.worker import Worker
from wyoming_qwen3.ops.metrics import Metrics
from wyoming_qwen3.store.voices import wav
from wyoming_qwen3.store.voices.store import VoiceStore

_REMEMBERED = 64
"""Prompts held in memory: some 50 KB each."""

_REMEMBERED_CLIPS = 8
"""Of kept voices, as they are cloned from: some 3 MB each."""


def prepare(clips: Sequence[Reference]) -> Reference:
    """Return what is cloned of the clips of a voice: one clip at `SAMPLE_RATE`, as `audio.reference.combine` makes it.

    Clips that are kept and clips that come with a request are both cloned by this. The clips are rounded to 16 bits
    first, as they are kept, so that the same clip always gives the same samples. Takes tens of milliseconds a clip: not
    for an event loop. Raises InvalidRequest where a clip is silent or its text can't be kept, and TooLarge.
    """
    return combine([wav.unpack(wav.pack(clip), clip.text) for clip in clips]).reference


class ClonePrompts:
    """Has a voice extracted once, whoever asks and how often: programs send the same clip along with every text."""

    def __init__(self, voices: VoiceStore, metrics: Metrics) -> None:
        self._voices = voices
        self._metrics = metrics
        self._prompts: OrderedDict[bytes, ClonePrompt] = OrderedDict()
        self._clips: OrderedDict[Kept, Reference] = OrderedDict()
        self._extracting = asyncio.Lock()

    async def prompt(self, worker: Worker, checkpoint: Checkpoint, voice: Reference | Kept) -> ClonePrompt:
        """What `checkpoint` needs to speak with that voice.

        Raises InvalidRequest, EngineFailed, and VoiceNotFound where it was deleted meanwhile.
        """
        key = await asyncio.to_thread(_key, checkpoint, voice)
        if key not in self._prompts and (prompt := await self._kept(checkpoint, voice)):
            self._remember(key, prompt)
        if key not in self._prompts:
            async with self._extracting:
                if key not in self._prompts:  # nobody has extracted it while this one waited
                    self._remember(key, await self._extract(worker, checkpoint, voice))
        self._prompts.move_to_end(key)
        return self._prompts[key]

    async def reference(self, voice: Kept) -> Reference:
        """The clips of a kept voice as one, prepared. Raises VoiceNotFound where it was deleted, StorageFailed."""
        if self._voices.find(voice.id) is None:
            raise VoiceNotFound("The voice was deleted.", param="voice")
        if voice not in self._clips:
            clips = await self._voices.recordings(voice.id)
            self._clips[voice] = await asyncio.to_thread(prepare, clips)
            if len(self._clips) > _REMEMBERED_CLIPS:
                self._clips.popitem(last=False)
        self._clips.move_to_end(voice)
        return self._clips[voice]

    async def _kept(self, checkpoint: Checkpoint, voice: Reference | Kept) -> ClonePrompt | None:
        if isinstance(voice, Reference):
            return None
        return await self._voices.prompt(voice.id, voice.revision, checkpoint.size)

    def _remember(self, key: bytes, prompt: ClonePrompt) -> None:
        self._prompts[key] = prompt
        while len(self._prompts) > _REMEMBERED:
            self._prompts.popitem(last=False)

    async def _extract(self, worker: Worker, checkpoint: Checkpoint, voice: Reference | Kept) -> ClonePrompt:
        reference = await self.reference(voice) if isinstance(voice, Kept) else voice
        self._metrics.read_clip()
        prompt = await worker.clone(checkpoint, reference)
        if isinstance(voice, Kept):
            await self._voices.keep_prompt(voice.id, voice.revision, checkpoint.size, prompt)
        return prompt


def _key(checkpoint: Checkpoint, voice: Reference | Kept) -> bytes:
    if isinstance(voice, Kept):
        return f"{checkpoint.name} {voice.id} {voice.revision}".encode()
    digest = hashlib.blake2b(f"{checkpoint.name} {voice.sample_rate} {voice.text!r} ".encode())
    digest.update(voice.samples.tobytes())
    return digest.digest()

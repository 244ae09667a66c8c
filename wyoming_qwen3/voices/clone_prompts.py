"""Finds clone prompts: in memory, on disk, or by extracting them from clips, once."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Sequence

from wyoming_qwen3.audio.reference import combine
from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.errors import VoiceNotFound
from wyoming_qwen3.core.request import ClonePrompt, KeptVoiceRef, Reference
from wyoming_qwen3.models.worker import Worker
from wyoming_qwen3.ops.metrics import Metrics
from wyoming_qwen3.store.voices import wav
from wyoming_qwen3.store.voices.store import VoiceStore

_REMEMBERED = 64
"""Number of prompts held in memory, about 50 KB each."""

_REMEMBERED_CLIPS = 8
"""Number of prepared clips of kept voices held in memory, about 3 MB each."""


def prepare(clips: Sequence[Reference]) -> Reference:
    """Combine the clips of a voice into the one that is cloned, at `SAMPLE_RATE`, with `audio.reference.combine`.

    Both kept clips and clips that come with a request go through this. They are rounded to 16 bits first, as kept clips
    are, so that the same clip always gives the same samples. Takes tens of milliseconds per clip, so don't call it on
    an event loop. Raises InvalidRequest if a clip is silent or its text can't be kept, and TooLarge if all clips are
    too long.
    """
    return combine([wav.unpack(wav.pack(clip), clip.text) for clip in clips]).reference


class ClonePrompts:
    """Extracts the clone prompt of each voice only once: programs send the same clip along with every text."""

    def __init__(self, voices: VoiceStore, metrics: Metrics) -> None:
        self._voices = voices
        self._metrics = metrics
        self._prompts: OrderedDict[bytes, ClonePrompt] = OrderedDict()
        self._clips: OrderedDict[KeptVoiceRef, Reference] = OrderedDict()
        self._extracting = asyncio.Lock()

    async def prompt(self, worker: Worker, checkpoint: Checkpoint, voice: Reference | KeptVoiceRef) -> ClonePrompt:
        """Return the clone prompt with which `checkpoint` speaks in that voice.

        Raises InvalidRequest if the clip is not usable, EngineFailed if the engine process died, and VoiceNotFound if
        the voice was deleted meanwhile.
        """
        key = await asyncio.to_thread(_key, checkpoint, voice)
        if key not in self._prompts and (prompt := await self._kept(checkpoint, voice)):
            self._remember(key, prompt)
        if key not in self._prompts:
            async with self._extracting:
                if key not in self._prompts:  # no other call extracted it while this one waited
                    self._remember(key, await self._extract(worker, checkpoint, voice))
        self._prompts.move_to_end(key)
        return self._prompts[key]

    async def reference(self, voice: KeptVoiceRef) -> Reference:
        """Return the clips of a kept voice combined into one by `prepare`.

        Raises VoiceNotFound if the voice was deleted, and StorageFailed if a clip of it is lost or damaged.
        """
        if self._voices.find(voice.id) is None:
            raise VoiceNotFound("The voice was deleted.", param="voice")
        if voice not in self._clips:
            clips = await self._voices.recordings(voice.id)
            self._clips[voice] = await asyncio.to_thread(prepare, clips)
            if len(self._clips) > _REMEMBERED_CLIPS:
                self._clips.popitem(last=False)
        self._clips.move_to_end(voice)
        return self._clips[voice]

    async def _kept(self, checkpoint: Checkpoint, voice: Reference | KeptVoiceRef) -> ClonePrompt | None:
        if isinstance(voice, Reference):
            return None
        return await self._voices.prompt(voice.id, voice.revision, checkpoint.size)

    def _remember(self, key: bytes, prompt: ClonePrompt) -> None:
        self._prompts[key] = prompt
        while len(self._prompts) > _REMEMBERED:
            self._prompts.popitem(last=False)

    async def _extract(self, worker: Worker, checkpoint: Checkpoint, voice: Reference | KeptVoiceRef) -> ClonePrompt:
        reference = await self.reference(voice) if isinstance(voice, KeptVoiceRef) else voice
        self._metrics.read_clip()
        prompt = await worker.clone(checkpoint, reference)
        if isinstance(voice, KeptVoiceRef):
            await self._voices.keep_prompt(voice.id, voice.revision, checkpoint.size, prompt)
        return prompt


def _key(checkpoint: Checkpoint, voice: Reference | KeptVoiceRef) -> bytes:
    if isinstance(voice, KeptVoiceRef):
        return f"{checkpoint.name} {voice.id} {voice.revision}".encode()
    digest = hashlib.blake2b(f"{checkpoint.name} {voice.sample_rate} {voice.text!r} ".encode())
    digest.update(voice.samples.tobytes())
    return digest.digest()

"""Clone prompts of reference clips, remembered: programs send the same clip along with every text."""

import asyncio
import hashlib
from collections import OrderedDict

from .checkpoints import Checkpoint
from .request import ClonePrompt, Reference
from .worker import Worker

_REMEMBERED = 64
"""Prompts kept: some 50 KB each."""


class ClonePrompts:
    """Has a clip's voice extracted once, whoever asks and how often."""

    def __init__(self) -> None:
        self._prompts: OrderedDict[bytes, ClonePrompt] = OrderedDict()
        self._extracting = asyncio.Lock()

    async def prompt(self, worker: Worker, checkpoint: Checkpoint, reference: Reference) -> ClonePrompt:
        """What `checkpoint` needs to speak as the clip does. Raises InvalidRequest, EngineFailed."""
        key = await asyncio.to_thread(_key, checkpoint, reference)
        if key not in self._prompts:
            async with self._extracting:
                if key not in self._prompts:  # nobody has extracted it while this one waited
                    self._prompts[key] = await worker.clone(checkpoint, reference)
                    while len(self._prompts) > _REMEMBERED:
                        self._prompts.popitem(last=False)
        self._prompts.move_to_end(key)
        return self._prompts[key]


def _key(checkpoint: Checkpoint, reference: Reference) -> bytes:
    digest = hashlib.blake2b(f"{checkpoint.name} {reference.sample_rate} {reference.text!r} ".encode())
    digest.update(reference.samples.tobytes())
    return digest.digest()

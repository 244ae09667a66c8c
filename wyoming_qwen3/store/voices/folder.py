"""The folder of one stored voice. Knows no other voice.

<voice>/voice.json                                       the record; files that it does not name are ignored
<voice>/samples/<sample>.wav
<voice>/prompts/<revision>-<size>.safetensors            a cache, which may be deleted
"""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wyoming_qwen3.core.checkpoints import SIZES, Size
from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.core.request import ClonePrompt, Reference
from wyoming_qwen3.store.files import new_folder, storing, sweep, write_file

from . import prompts, wav
from .record import RECORD_FILE, read_record, write_record
from .voice import KeptVoice, VoiceClip

_LOGGER = logging.getLogger(__name__)


class VoiceFolder:
    """The folder of one voice. The last part of `path` is the voice's ID. With `read_only` it is only read."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._read_only = read_only

    def create(
        self,
        voice: KeptVoice,
        clips: Sequence[Reference],
        prompt: tuple[Size, ClonePrompt] | None,
        replaces: str | None,
    ) -> None:
        """Write a new voice with its clips, in the order of its samples. Raises InvalidRequest, StorageFailed."""
        with new_folder(self.path) as path:
            draft = VoiceFolder(path)
            (path / _SAMPLES).mkdir()
            (path / _PROMPTS).mkdir()
            draft.write_clips(voice.samples, clips)
            if prompt is not None:
                size, extracted = prompt
                draft.write_prompt(voice.revision, size, extracted)
            draft.write(voice, replaces)

    def write(self, voice: KeptVoice, replaces: str | None = None) -> None:
        """Write the record. Raises StorageFailed; the old record is not changed then."""
        record = write_record(voice, replaces=replaces)
        write_file(self.path / RECORD_FILE, json.dumps(record, ensure_ascii=False, allow_nan=False, indent=1).encode())

    def read(self) -> tuple[KeptVoice, str | None]:
        """Return the voice, and the ID of the one that it overwrote. Raises InvalidRequest if the folder is damaged."""
        try:
            record: Any = json.loads((self.path / RECORD_FILE).read_bytes())
        except OSError as error:
            raise InvalidRequest(f"Its record can't be read: {error.strerror}.") from error
        except (ValueError, RecursionError) as error:
            raise InvalidRequest("Its record is not JSON.") from error
        voice = read_record(self.path.name, record)
        for sample in voice.samples:
            if not self.sample_path(sample.id).is_file():
                raise InvalidRequest(f"The recording {sample.id} is missing.")
        replaces = record.get("replaces")
        return voice, replaces if isinstance(replaces, str) else None

    def sample_path(self, sample_id: str) -> Path:
        """Return the path of a sample's WAV file, which need not exist."""
        return self.path / _SAMPLES / f"{sample_id}.wav"

    def write_clips(self, samples: Sequence[VoiceClip], clips: Sequence[Reference]) -> None:
        """Write the WAV files of `samples`. They are ignored until the record names them."""
        for sample, clip in zip(samples, clips, strict=True):
            write_file(self.sample_path(sample.id), wav.pack(clip))

    def read_clips(self, samples: Sequence[VoiceClip]) -> list[Reference]:
        """Return the clips of `samples`. Raises InvalidRequest for a damaged file, and OSError for a missing one."""
        return [wav.unpack(self.sample_path(sample.id).read_bytes(), sample.text) for sample in samples]

    def write_prompt(self, revision: str, size: Size, prompt: ClonePrompt) -> None:
        """Write the clone prompt of a revision. Raises InvalidRequest, StorageFailed."""
        data = prompts.pack(prompt, size)
        path = self._prompt_path(revision, size)
        with storing():
            path.parent.mkdir(exist_ok=True)
        write_file(path, data)

    def read_prompt(self, revision: str, size: Size) -> ClonePrompt | None:
        """Return the clone prompt; None if there is none. A damaged one is removed, which is logged."""
        path = self._prompt_path(revision, size)
        try:
            prompt, made_by = prompts.load(path)
            if made_by != size:
                raise InvalidRequest(f"It was made by a checkpoint of size {made_by}.")
        except FileNotFoundError:
            return None
        except (OSError, InvalidRequest) as error:
            if not self._read_only:
                _LOGGER.warning("The clone prompt of the voice %s is removed: %s", self.path.name, error)
                _unlink(path)
            return None
        return prompt

    def has_prompt(self, revision: str, size: Size) -> bool:
        """Return whether there is a clone prompt of a revision. It may be damaged."""
        return self._prompt_path(revision, size).is_file()

    def tidy(self, voice: KeptVoice) -> None:
        """Remove files that the record does not name. A failure is logged; the next call tries again."""
        kept = {
            _SAMPLES: {f"{sample.id}.wav" for sample in voice.samples},
            _PROMPTS: {self._prompt_path(voice.revision, size).name for size in SIZES},
        }
        sweep(self.path)
        for folder, names in kept.items():
            for path in sorted((self.path / folder).glob("*")):
                if path.name not in names:
                    _unlink(path)

    def _prompt_path(self, revision: str, size: Size) -> Path:
        return self.path / _PROMPTS / f"{revision}-{size}.safetensors"


_SAMPLES = "samples"
_PROMPTS = "prompts"


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _LOGGER.warning("%s could not be removed: %s", path, error.strerror)

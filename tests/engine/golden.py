"""What upstream itself makes of a request, on tiny checkpoints: the golden side of the engine's tests."""

from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.engine.replay import Replays
from tests.tiny import build_checkpoint
from wyoming_qwen3.core.checkpoints import Kind, Size
from wyoming_qwen3.core.request import ClonePrompt, Description, FloatArray, Reference, SpeechRequest, Voice
from wyoming_qwen3.core.speakers import Speaker, find_language, find_voice
from wyoming_qwen3.engine.checkpoint.published import Published, open_checkpoint
from wyoming_qwen3.engine.lm import decode
from wyoming_qwen3.engine.lm.decode import Decoder, Row
from wyoming_qwen3.engine.lm.gpu_decode import StaticDecoder
from wyoming_qwen3.engine.lm.gpu_slots import Buckets
from wyoming_qwen3.engine.lm.language_model import load_exact
from wyoming_qwen3.engine.upstream import import_qwen_tts

ROUNDING = 1e-6
"""How far apart float32 results of the same numbers may be, relative to the largest of them: eight units in the last
place. Seen were two; a result rounded to bfloat16 is 1000 times further away, a wrong token a million times."""

GREEDY = {"do_sample": False, "subtalker_dosample": False}


class Stopped(Exception):
    """Raised where upstream would start to generate."""


@dataclass
class Pair:
    """One tiny checkpoint, loaded by upstream and by the engine."""

    kind: Kind
    size: Size
    path: Path
    golden: Any
    published: Published
    decoder: Decoder
    known: dict[str, list[list[int]]] = field(default_factory=dict)
    """Frames of upstream's, by what was asked for: they are slow to come by, and always the same."""

    def over_slots(self) -> "Pair":
        """The same with the decode loop of a GPU, its steps recorded and replayed."""
        other = copy(self)
        buckets = Buckets((1, 2, 4), (64, 128, 256))
        other.decoder = StaticDecoder(self.published, self.decoder.model, Replays(), buckets)
        return other

    def codes(self, request: SpeechRequest, text: str, *, seed: int = 0, **options: Any) -> list[list[int]]:
        """Frames that upstream's own public method generates."""
        key = repr((request, text, seed, options))
        if key not in self.known:
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                self.known[key] = self._codes(request, text, options)
        return self.known[key]

    def _codes(self, request: SpeechRequest, text: str, options: dict[str, Any]) -> list[list[int]]:
        caught: list[torch.Tensor] = []
        decode = self.golden.model.speech_tokenizer.decode

        def catch(batch: list[dict[str, torch.Tensor]]) -> Any:
            caught.append(batch[0]["audio_codes"])
            return [np.zeros(1920, np.float32)], 24000

        self.golden.model.speech_tokenizer.decode = catch
        try:
            self._generate(request, text, options)
        finally:
            self.golden.model.speech_tokenizer.decode = decode
        voice = request.voice
        given = 0 if not isinstance(voice, ClonePrompt) or voice.codes is None else len(voice.codes)
        frames: list[list[int]] = caught[0][given:].tolist()
        return frames

    def prompt(self, request: SpeechRequest, text: str, **options: Any) -> dict[str, Any]:
        """What upstream hands to its talker for generation."""
        caught: dict[str, Any] = {}

        def catch(**given: Any) -> None:
            caught.update(given)
            raise Stopped

        talker = self.golden.model.talker
        talker.generate = catch
        try:
            self._generate(request, text, options)
        except Stopped:
            pass
        finally:
            del talker.generate
        return caught

    def _generate(self, request: SpeechRequest, text: str, options: dict[str, Any]) -> None:
        voice, language = request.voice, request.language.name if request.language else "auto"
        if isinstance(voice, Speaker):
            self.golden.generate_custom_voice(text, voice.id, language, instruct=request.instruct, **options)
        elif isinstance(voice, Description):
            self.golden.generate_voice_design(text, voice.text, language, **options)
        elif isinstance(voice, ClonePrompt):
            items = [upstream_prompt(voice)]
            self.golden.generate_voice_clone(text, language, voice_clone_prompt=items, **options)


def assert_near(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Require equal shapes and types, and values that differ by rounding alone.

    PyTorch leaves float32 products to a math library, which orders their sums by the shape, by where the operands lie
    in memory, and by the processor and its maker. So two ways to the same product differ in the last bits.
    """
    torch.testing.assert_close(found, expected, rtol=0, atol=ROUNDING * float(expected.abs().max()))


def load_pair(path: Path, kind: Kind, size: Size = "0.6B") -> Pair:
    """Build a tiny checkpoint below `path` and load it twice."""
    build_checkpoint(path, kind, size)
    loaded = load_exact(open_checkpoint(path), "cpu", torch.float32)
    return Pair(kind, size, path, load_golden(path), loaded.published, loaded.decoder)


def load_golden(path: Path) -> Any:
    """Upstream's own Qwen3TTSModel."""
    import_qwen_tts()
    from qwen_tts import Qwen3TTSModel

    return Qwen3TTSModel.from_pretrained(str(path), dtype=torch.float32)


def load_codec(path: Path) -> Any:
    """Upstream's own Qwen3TTSTokenizer of a checkpoint."""
    import_qwen_tts()
    from qwen_tts import Qwen3TTSTokenizer

    return Qwen3TTSTokenizer.from_pretrained(str(path / "speech_tokenizer"), dtype=torch.float32)


def upstream_prompt(voice: ClonePrompt) -> Any:
    """Our clone prompt as upstream's."""
    from qwen_tts import VoiceClonePromptItem

    continued = voice.codes is not None
    return VoiceClonePromptItem(
        ref_code=torch.from_numpy(voice.codes) if voice.codes is not None else None,
        ref_spk_embedding=torch.from_numpy(voice.speaker_embedding),
        x_vector_only_mode=not continued,
        icl_mode=continued,
        ref_text=voice.text,
    )


def clip(seconds: float = 0.8, rate: int = 24000, text: str | None = None) -> Reference:
    """Some noise with a shape, as a reference clip."""
    samples: FloatArray = np.random.default_rng(7).standard_normal(int(seconds * rate)).astype(np.float32)
    return Reference(0.1 * samples * np.hanning(len(samples)).astype(np.float32), rate, text)


def clone(hidden: int, frames: int = 0) -> ClonePrompt:
    """A cloned voice for a checkpoint with this hidden size; continued when it has frames."""
    draw = np.random.default_rng(11)
    embedding = draw.standard_normal(hidden).astype(np.float32)
    if not frames:
        return ClonePrompt(embedding)
    return ClonePrompt(embedding, draw.integers(0, 64, (frames, 16)), "This is what the reference says.")


def request(
    pair: Pair, language: str = "english", speaker: str = "ryan", frames: int = 0, **more: Any
) -> SpeechRequest:
    """A request that fits the checkpoint; `frames` is the length of the clip that a clone continues."""
    hidden = 32 if pair.size == "0.6B" else 48
    voices: dict[Kind, Voice] = {
        "custom_voice": find_voice(speaker)[0],
        "voice_design": Description("A calm, low voice."),
        "base": clone(hidden, frames),
    }
    return SpeechRequest(voices[pair.kind], find_language(language), **more)


def admit(decoder: Decoder, asked: SpeechRequest, text: str, *, whole_text_first: bool) -> Row:
    """Open a row that lays its text out so, whatever is usual for its kind of checkpoint."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode, "prefills_whole_text", lambda _: whole_text_first)
        return decoder.admit(asked, text=text)


def run(decoder: Decoder, *rows: Row, most: int = 1000) -> list[list[list[int]]]:
    """Step all rows together to their ends; the frames of each."""
    frames: dict[Row, list[list[int]]] = {row: [] for row in rows}
    for _ in range(most):
        if not any(row.can_advance for row in rows):
            break
        for frame in decoder.step(rows):
            if frame.codes is not None:
                frames[frame.row].append(frame.codes.tolist())
    return [frames[row] for row in rows]

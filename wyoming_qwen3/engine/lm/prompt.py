"""Builds the talker's input for each kind of request: the same prompts as upstream, to the last bit.

Knows embeddings and special ids; does NOT know how the talker or the tokenizer work, or when text arrives.
The layout is that of Qwen3TTSForConditionalGeneration.generate in qwen-tts 0.1.1. Linear layers run over the same
groups of tokens as there, since the size of a matrix product changes its rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wyoming_qwen3.core.checkpoints import Kind
from wyoming_qwen3.core.errors import InstructionsNotSupported, InvalidRequest, LanguageNotSupported, VoiceNotFound
from wyoming_qwen3.core.request import ClonePrompt, Description, SpeechRequest
from wyoming_qwen3.core.speakers import Language, Speaker
from wyoming_qwen3.engine.checkpoint.config import TalkerConfig
from wyoming_qwen3.engine.checkpoint.published import Published
from wyoming_qwen3.engine.cuda_graphs import to_device

from .predictor import Predictor
from .talker import Talker
from .text_track import encode

HeadKey = tuple[tuple[int, ...], int | None, int | None, bytes | None]


@dataclass(frozen=True, eq=False)
class Prompt:
    """The talker's input before the first frame, and the text half of its inputs from then on.

    `prefill` is [positions, hidden]; its first `head` positions do not depend on the text. `trailing` [n, hidden] is
    the text that follows, one embedding per frame, with the end of text if all text is known. `end` and `pad` are
    [hidden].
    """

    prefill: Tensor
    head: int
    trailing: Tensor
    end: Tensor
    pad: Tensor


@dataclass(frozen=True, eq=False)
class PromptConditions:
    """A request resolved for one checkpoint: everything in its prompt except the text."""

    instruct_ids: tuple[int, ...]
    """Token ids of the whole instruction turn; empty without an instruction."""

    language_id: int | None
    speaker_id: int | None = None
    clone: ClonePrompt | None = None
    reference_ids: tuple[int, ...] = ()
    """Token ids of the reference clip's text, if the clip is continued."""

    @property
    def reference_codes(self) -> Any:
        """Codes of the reference clip, int64 [frames, 16], if the clip is continued, else None."""
        return None if self.clone is None else self.clone.codes

    @property
    def head_key(self) -> HeadKey:
        """What the positions before the text depend on: the ids, and the bytes of a cloned voice's embedding."""
        embedding = self.clone.speaker_embedding.tobytes() if self.clone else None
        return self.instruct_ids, self.language_id, self.speaker_id, embedding

    def tokens_needed(self) -> int:
        """Return how many text tokens the prefill needs while the text is unfinished.

        If a clip is continued, one text token is added to each of its frames and to the start of codes; the tokens of
        the clip's own text count.
        """
        if self.reference_codes is None:
            return 1
        return max(1, len(self.reference_codes) + 1 - len(self.reference_ids))


def prefills_whole_text(kind: Kind) -> bool:
    """Return whether upstream puts the whole text before the codes for this kind (non_streaming_mode)."""
    return kind != "base"


def prepare(published: Published, request: SpeechRequest) -> PromptConditions:
    """Resolve voice, language and instruction of a request for a checkpoint.

    A described voice and an instruction are joined, the description first. Raises InvalidRequest if the checkpoint
    can't speak this kind of voice, VoiceNotFound if it lacks the speaker, LanguageNotSupported, and
    InstructionsNotSupported.
    """
    config = published.config.talker_config
    voice = request.voice
    instruct = (request.instruct or "").strip()
    if instruct and not published.follows_instructions:
        raise InstructionsNotSupported(
            "This checkpoint does not follow instructions; leave them out, or use a 1.7B checkpoint."
        )
    language_id = _language_id(config, request.language)
    if published.kind == "custom_voice" and isinstance(voice, Speaker):
        if voice.id not in config.spk_id:
            raise VoiceNotFound(
                f"This checkpoint has no speaker {voice.name}; choose one of {', '.join(config.spk_id)}."
            )
        return PromptConditions(
            instruct_ids=_instruct_ids(published, instruct),
            language_id=_dialect_id(config, voice, request.language) or language_id,
            speaker_id=config.spk_id[voice.id],
        )
    if published.kind == "voice_design" and isinstance(voice, Description):
        words = " ".join(part for part in (voice.text.strip(), instruct) if part)
        return PromptConditions(instruct_ids=_instruct_ids(published, words), language_id=language_id)
    if published.kind == "base" and isinstance(voice, ClonePrompt):
        reference_ids = _reference_ids(published, voice)
        return PromptConditions(instruct_ids=(), language_id=language_id, clone=voice, reference_ids=reference_ids)
    wanted = {"custom_voice": "a named speaker", "voice_design": "a described voice", "base": "a cloned voice"}
    raise InvalidRequest(f"This checkpoint needs {wanted[published.kind]}, but the request has another kind of voice.")


class PromptBuilder:
    """Builds prompts from the embeddings of a checkpoint."""

    def __init__(self, published: Published, talker: Talker, predictor: Predictor) -> None:
        config = published.config
        self._talker = talker
        self._predictor = predictor
        self._codec = talker.config
        self._role_ids = [config.im_start_token_id, *encode(published.tokenizer, "assistant\n")]
        self._mark_ids = [config.tts_bos_token_id, config.tts_eos_token_id, config.tts_pad_token_id]

    def build(
        self, conditions: PromptConditions, text_ids: Sequence[int], *, whole_text_first: bool, finished: bool = True
    ) -> Prompt:
        """Build the prompt for some text tokens.

        `whole_text_first` puts the text before the codes and needs all of it. Otherwise the talker gets the text along
        with the codes, and more text may follow unless `finished`; at least `conditions.tokens_needed()` tokens are
        needed then. Raises InvalidRequest if `text_ids` is empty.
        """
        if not text_ids:
            raise InvalidRequest("The text is empty; there is nothing to speak.")
        talker = self._talker
        begin, end, pad = talker.embed_text(self._mark_ids).chunk(3)
        codec, start = self._codec_prefix(conditions)
        marks = torch.cat((pad.expand(len(codec) - 1, -1), begin))
        head = [talker.embed_text(conditions.instruct_ids)] if conditions.instruct_ids else []
        head += [talker.embed_text(self._role_ids), marks + codec]
        if conditions.reference_codes is not None:
            ids = [*conditions.reference_ids, *text_ids]
            spoken = torch.cat((start, self._predictor.embed(self._codes(conditions))))
            if whole_text_first:
                body, trailing = torch.cat((self._text_first(ids, end), spoken + pad)), pad
            else:
                text = torch.cat((talker.embed_text(ids), end[: int(finished)]))
                body, trailing = _overlaid(text, spoken, pad)
                trailing = pad if finished and not len(trailing) else trailing
        elif whole_text_first:
            body, trailing = torch.cat((self._text_first(text_ids, end), pad + start)), pad
        else:
            body = talker.embed_text(text_ids[:1]) + start
            trailing = torch.cat((talker.embed_text(text_ids[1:]), end[: int(finished)]))
        return Prompt(torch.cat((*head, body)), sum(map(len, head)), trailing, end[0], pad[0])

    def _codec_prefix(self, conditions: PromptConditions) -> tuple[Tensor, Tensor]:
        """Return codec embeddings of language, speaker and padding [n, hidden], and of the codes' start [1, hidden]."""
        codec, talker = self._codec, self._talker
        if conditions.language_id is None:
            ids = [codec.codec_nothink_id, codec.codec_think_bos_id, codec.codec_think_eos_id]
        else:
            ids = [codec.codec_think_id, codec.codec_think_bos_id, conditions.language_id, codec.codec_think_eos_id]
        parts = [talker.embed_codec(ids)]
        if conditions.speaker_id is not None:
            parts.append(talker.embed_codec([conditions.speaker_id]))
        if conditions.clone is not None:
            embedding = torch.tensor(conditions.clone.speaker_embedding)
            parts.append(to_device(embedding, talker.device, talker.dtype)[None])
        parts.append(talker.embed_codec([codec.codec_pad_id]))
        return torch.cat(parts), talker.embed_codec([codec.codec_bos_id])

    def _text_first(self, text_ids: Sequence[int], end: Tensor) -> Tensor:
        """Return the whole text and its end, added to codec padding [tokens + 1, hidden]."""
        text = torch.cat((self._talker.embed_text(text_ids), end))
        return text + self._talker.embed_codec([self._codec.codec_pad_id])

    def _codes(self, conditions: PromptConditions) -> Tensor:
        return to_device(torch.tensor(conditions.reference_codes), self._talker.device)


def _overlaid(text: Tensor, spoken: Tensor, pad: Tensor) -> tuple[Tensor, Tensor]:
    """Add text to the codes of a continued clip, padding a shorter text; return the sum and the rest of the text."""
    if len(text) > len(spoken):
        return text[: len(spoken)] + spoken, text[len(spoken) :]
    padding = pad.expand(len(spoken) - len(text), -1)
    return torch.cat((text, padding)) + spoken, text[:0]


def _language_id(config: TalkerConfig, language: Language | None) -> int | None:
    if language is None:
        return None
    if language.name not in config.codec_language_id:
        known = ", ".join(name for name in config.codec_language_id if "dialect" not in name)
        raise LanguageNotSupported(f"This checkpoint does not speak {language.name}; choose one of {known}.")
    return config.codec_language_id[language.name]


def _dialect_id(config: TalkerConfig, speaker: Speaker, language: Language | None) -> int | None:
    """Return the id of a speaker's dialect. As upstream: only if the language is Chinese or not given; else None."""
    dialect = config.spk_is_dialect[speaker.id]
    if not isinstance(dialect, str) or (language is not None and language.name != "chinese"):
        return None
    return config.codec_language_id[dialect]


def _reference_ids(published: Published, voice: ClonePrompt) -> tuple[int, ...]:
    """Return the token ids of the clip's text; none if only its timbre is used.

    Raises InvalidRequest if the clone prompt does not fit the checkpoint, or its text is empty.
    """
    config = published.config.talker_config
    if voice.speaker_embedding.shape != (config.hidden_size,):
        raise InvalidRequest("The cloned voice was prepared for a checkpoint of another size; prepare it again.")
    if voice.codes is None or voice.text is None:
        return ()
    if voice.codes.ndim != 2 or voice.codes.shape[1] != config.num_code_groups:
        raise InvalidRequest(f"The codes of a cloned voice must have {config.num_code_groups} codes in each frame.")
    ids = encode(published.tokenizer, voice.text.strip())
    if not ids:
        raise InvalidRequest("The text of the reference clip is empty.")
    return tuple(ids)


def _instruct_ids(published: Published, instruct: str) -> tuple[int, ...]:
    """Return the token ids of the instruction as a user's turn; none without an instruction."""
    if not instruct:
        return ()
    config, tokenizer = published.config, published.tokenizer
    words = encode(tokenizer, f"user\n{instruct}")
    return (config.im_start_token_id, *words, config.im_end_token_id, *encode(tokenizer, "\n"))

"""The code predictor: generates the other 15 codes of a frame, one by one, from the talker's state and code 0.

Knows its weights; does NOT know text, prompts or when speech ends.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from wyoming_qwen3.engine.checkpoint.config import TalkerConfig
from wyoming_qwen3.engine.checkpoint.tensors import TensorReader

from .sampling import Sampler, draw_residual
from .transformer import MakeLinear, Transformer, embedding_layer, linear_layer


class Predictor(Protocol):
    """The interface of a code predictor for the decode loop, however its weights are stored."""

    def frame(self, hidden: Tensor, first_codes: Tensor, samplers: Sequence[Sampler]) -> tuple[Tensor, Tensor]:
        """Complete one frame of each row; see CodePredictor.frame."""

    def embed(self, codes: Tensor) -> Tensor:
        """Return the sums of the embeddings [frames, hidden] of complete frames int64 [frames, 16]."""


class CodePredictor(nn.Module):
    """The code predictor of a checkpoint, in the dtype and on the device of `read`, which reads below "talker."."""

    def __init__(
        self, read: TensorReader, talker: TalkerConfig, first: nn.Embedding, linear: MakeLinear = linear_layer
    ) -> None:
        """`first` embeds code 0; `linear` builds a linear layer from its weight."""
        super().__init__()
        config, width, read = talker.code_predictor_config, talker.hidden_size, read.below("code_predictor.")
        hidden, others = config.hidden_size, range(config.num_code_groups - 1)
        self.codebooks: int = config.num_code_groups
        self.first_embedding = first
        names = [f"model.codec_embedding.{number}.weight" for number in others]
        self.embeddings = nn.ModuleList(embedding_layer(read(name, config.vocab_size, width)) for name in names)
        heads = [f"lm_head.{number}.weight" for number in others]
        self.heads = nn.ModuleList(linear(read(name, config.vocab_size, hidden)) for name in heads)
        self.projection: nn.Module = nn.Identity()
        if width != hidden:
            own = read.below("small_to_mtp_projection.")
            self.projection = linear_layer(own("weight", hidden, width), own("bias", hidden))
        self.transformer = Transformer(read.below("model."), config, self.codebooks, linear)

    def frame(self, hidden: Tensor, first_codes: Tensor, samplers: Sequence[Sampler]) -> tuple[Tensor, Tensor]:
        """Complete one frame of each row.

        `hidden` is [rows, hidden], `first_codes` int64 [rows]. Returns the codes int64 [rows, 16], and the sum of
        their embeddings [rows, hidden], which is the codec half of the talker's next input.
        """
        return self.complete(hidden, first_codes, lambda logits: draw_residual(logits, samplers))

    def complete(self, hidden: Tensor, first_codes: Tensor, draw: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Do as `frame`, and sample with `draw`: float32 logits [rows, codes] -> the rows' next codes int64 [rows]."""
        embedded = [self.first_embedding(first_codes)]
        codes = [first_codes]
        cache = self.transformer.new_cache(self.codebooks, rows=len(hidden))
        inputs = torch.stack((hidden, embedded[0]), dim=1)
        for head, embedding in zip(self.heads, self.embeddings, strict=True):
            state = self.transformer(self.projection(inputs), (cache,))[:, -1]
            codes.append(draw(head(state).float()))
            embedded.append(embedding(codes[-1]))
            inputs = embedded[-1][:, None]
        return torch.stack(codes, dim=1), torch.stack(embedded, dim=1).sum(1)

    def embed(self, codes: Tensor) -> Tensor:
        """Return the sums of the embeddings [frames, hidden] of complete frames int64 [frames, 16]."""
        embedded = [self.first_embedding(codes[:, :1])]
        embedded += [embed(codes[:, i : i + 1]) for i, embed in enumerate(self.embeddings, start=1)]
        return torch.cat(embedded, dim=1).sum(1)

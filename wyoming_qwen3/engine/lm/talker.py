"""The talker: turns text and codec embeddings into hidden states and the logits of code 0.

Knows its weights and special ids; does NOT know prompts, sampling or the other 15 codebooks.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from wyoming_qwen3.engine.checkpoint.config import TalkerConfig
from wyoming_qwen3.engine.checkpoint.tensors import TensorReader
from wyoming_qwen3.engine.cuda_graphs import to_device

from .transformer import KvCache, embedding_layer, linear_layer


class Layers(Protocol):
    """A stack of decoder layers with its final norm, however its weights are stored."""

    splits_exactly: bool
    """Whether hidden states are the same to the last bit, however the tokens are split over calls."""

    def new_cache(self, capacity: int, rows: int = 1) -> KvCache:
        """Return an empty cache for `rows` sequences."""

    def __call__(self, x: Tensor, caches: Sequence[KvCache]) -> Tensor:
        """Advance the caches' sequences by [rows, tokens, hidden]; returns the same shape, after the final norm."""


class Talker(nn.Module):
    """The talker of a checkpoint, in the dtype and on the device of `read`, which reads below "talker.".

    `head` computes the logits. The text embeddings stay memory-mapped as they are stored, since a sentence needs only a
    few of their rows.
    """

    def __init__(
        self, read: TensorReader, config: TalkerConfig, transformer: Layers, head: Callable[[Tensor], Tensor]
    ) -> None:
        super().__init__()
        hidden, width = config.hidden_size, config.text_hidden_size
        self.config = config
        self.transformer = transformer
        self.codec_embedding = embedding_layer(read("model.codec_embedding.weight", config.vocab_size, hidden))
        self.projection_in = _projection(read.below("text_projection.linear_fc1."), width, width)
        self.projection_out = _projection(read.below("text_projection.linear_fc2."), hidden, width)
        self._text = read.view("model.text_embedding.weight", config.text_vocab_size, width)
        self.head = head

    @property
    def device(self) -> torch.device:
        """Device of the weights, and of all tensors in and out."""
        return self.codec_embedding.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of all embeddings and hidden states."""
        return self.codec_embedding.weight.dtype

    def embed_text(self, ids: Sequence[int]) -> Tensor:
        """Return the projected embeddings of text token ids [tokens, hidden]."""
        rows = to_device(self._text[torch.tensor(ids, dtype=torch.long)], self.device, self.dtype)
        projected: Tensor = self.projection_out(F.silu(self.projection_in(rows)))
        return projected

    def embed_codec(self, ids: Sequence[int]) -> Tensor:
        """Return the embeddings of codes of codebook 0 or special codec ids [tokens, hidden]."""
        rows: Tensor = self.codec_embedding(self._ids(ids))
        return rows

    def advance(self, embeddings: Tensor, caches: Sequence[KvCache]) -> Tensor:
        """Advance by embeddings [rows, tokens, hidden]; return the hidden states of the last token [rows, hidden]."""
        hidden: Tensor = self.transformer(embeddings, caches)
        return hidden[:, -1]

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits of the next code 0, float32 [rows, vocabulary], from hidden states [rows, hidden]."""
        return self.head(hidden).float()

    def _ids(self, ids: Sequence[int]) -> Tensor:
        return to_device(torch.tensor(ids, dtype=torch.long), self.device)


def _projection(read: TensorReader, outputs: int, inputs: int) -> nn.Linear:
    return linear_layer(read("weight", outputs, inputs), read("bias", outputs))

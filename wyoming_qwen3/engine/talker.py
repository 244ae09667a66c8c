"""The talker: from text and codec embeddings to hidden states and the logits of codebook 0.

Knows its weights and special ids; does NOT know prompts, sampling or the other 15 codebooks.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from .transformer import KvCache, Transformer


class Layers(Protocol):
    """A stack of decoder layers with its final norm, however its weights are kept."""

    splits_exactly: bool
    """Whether states are the same to the last bit, whatever the pieces in which tokens come."""

    def new_cache(self, capacity: int, rows: int = 1) -> KvCache:
        """An empty cache for `rows` sequences."""

    def __call__(self, x: Tensor, caches: Sequence[KvCache]) -> Tensor:
        """Advance the caches' sequences by [rows, tokens, hidden]; returns the same behind the final norm."""


class Talker:
    """Upstream's talker, whose own forward is gone after this: its decoder layers are moved into a Transformer.

    `config` is upstream's talker_config, which holds the special codec ids. Given `transformer` and `head`, those are
    used and upstream's never touched.
    """

    def __init__(
        self, talker: Any, transformer: Layers | None = None, head: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        model = talker.model
        self.config = talker.config
        self.text_embedding: nn.Embedding = model.text_embedding
        self.codec_embedding: nn.Embedding = model.codec_embedding
        self.projection_in: nn.Linear = talker.text_projection.linear_fc1
        self.projection_out: nn.Linear = talker.text_projection.linear_fc2
        self.transformer: Layers = transformer or Transformer(
            model.layers, model.norm, self.config, self.config.max_position_embeddings
        )
        self._head: Callable[[Tensor], Tensor] = head or talker.codec_head

    @property
    def device(self) -> torch.device:
        """Where the weights are, and all tensors in and out."""
        return self.codec_embedding.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of all embeddings and hidden states."""
        return self.codec_embedding.weight.dtype

    def embed_text(self, ids: Sequence[int]) -> Tensor:
        """Text token ids -> projected embeddings [tokens, hidden]."""
        rows = self.text_embedding(self._ids(ids)).to(self.dtype)
        projected: Tensor = self.projection_out(F.silu(self.projection_in(rows)))
        return projected

    def embed_codec(self, ids: Sequence[int]) -> Tensor:
        """Ids of codebook 0 or special codec ids -> embeddings [tokens, hidden]."""
        rows: Tensor = self.codec_embedding(self._ids(ids))
        return rows

    def advance(self, embeddings: Tensor, caches: Sequence[KvCache]) -> Tensor:
        """Feed [rows, tokens, hidden]; returns the hidden states of the last token [rows, hidden]."""
        hidden: Tensor = self.transformer(embeddings, caches)
        return hidden[:, -1]

    def logits(self, hidden: Tensor) -> Tensor:
        """Hidden states [rows, hidden] -> float32 logits of the next id of codebook 0 [rows, vocabulary]."""
        return self._head(hidden).float()

    def _ids(self, ids: Sequence[int]) -> Tensor:
        return torch.tensor(ids, dtype=torch.long, device=self.device)

"""The talker: from text and codec embeddings to hidden states and the logits of codebook 0.

Knows its weights and special ids; does NOT know prompts, sampling or the other 15 codebooks.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from .transformer import KvCache, Transformer


class Talker:
    """Upstream's talker with its decoder layers moved into a Transformer; upstream's own forward is gone after this.

    `config` is upstream's talker_config, which holds the special codec ids.
    """

    def __init__(self, talker: Any) -> None:
        model = talker.model
        self.config = talker.config
        self.text_embedding: nn.Embedding = model.text_embedding
        self.codec_embedding: nn.Embedding = model.codec_embedding
        self.codec_head: nn.Linear = talker.codec_head
        self.projection_in: nn.Linear = talker.text_projection.linear_fc1
        self.projection_out: nn.Linear = talker.text_projection.linear_fc2
        self.transformer = Transformer(model.layers, model.norm, self.config, self.config.max_position_embeddings)

    @property
    def device(self) -> torch.device:
        """Where the weights are, and all tensors in and out."""
        return self.codec_head.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of all embeddings and hidden states."""
        return self.codec_head.weight.dtype

    def embed_text(self, ids: Sequence[int]) -> Tensor:
        """Text token ids -> projected embeddings [tokens, hidden]."""
        rows = self.text_embedding(self._ids(ids))
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
        logits: Tensor = self.codec_head(hidden)
        return logits.float()

    def _ids(self, ids: Sequence[int]) -> Tensor:
        return torch.tensor(ids, dtype=torch.long, device=self.device)

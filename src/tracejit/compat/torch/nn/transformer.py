"""Multi-head attention and transformer layers: Vaswani et al. 2017."""

from __future__ import annotations

import copy
from typing import Any

from tracejit.compat.torch.creation import empty, zeros
from tracejit.compat.torch.functions import FUNCTIONS
from tracejit.compat.torch.nn import functional, init
from tracejit.compat.torch.nn.attention import kept_of, weights_of
from tracejit.compat.torch.nn.containers import ModuleList
from tracejit.compat.torch.nn.layers import Dropout, Linear
from tracejit.compat.torch.nn.modules import Module, Parameter
from tracejit.compat.torch.nn.spatial import LayerNorm
from tracejit.compat.torch.tensor import fault, run
from tracejit.numpy import choosing

__all__ = [
    "MultiheadAttention", "Transformer", "TransformerDecoder", "TransformerDecoderLayer",
    "TransformerEncoder", "TransformerEncoderLayer",
]  # fmt: skip

F: Any = functional


def _added(mask: Any, kind: Any) -> Any:
    """A mask that is added to scores: bool ones are True where attention is not allowed."""
    if mask is None or mask.dtype.is_floating_point:
        return mask
    return run(choosing.where, (mask, float("-inf"), 0.0)).to(kind)


class MultiheadAttention(Module):
    """Attention of several heads, each to a part of the features."""

    def __init__(
        self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True,
        batch_first: bool = False,
    ):  # fmt: skip
        super().__init__()
        if embed_dim % num_heads:
            raise AssertionError("embed_dim must be divisible by num_heads")
        self.embed_dim, self.num_heads, self.dropout = embed_dim, num_heads, dropout
        self.batch_first, self.head_dim = batch_first, embed_dim // num_heads
        self.in_proj_weight = Parameter(empty(3 * embed_dim, embed_dim))
        self.register_parameter("in_proj_bias", Parameter(zeros(3 * embed_dim)) if bias else None)
        self.out_proj = Linear(embed_dim, embed_dim, bias)
        init.xavier_uniform_(self.in_proj_weight)
        if bias:
            init.zeros_(self.out_proj.bias)

    def _heads(self, x: Any) -> Any:
        """(batch, time, features) -> (batch, head, time, features of a head)."""
        return x.reshape(*x.shape[:2], self.num_heads, self.head_dim).transpose(1, 2)

    def forward(
        self, query: Any, key: Any, value: Any, key_padding_mask: Any = None,
        need_weights: bool = True, attn_mask: Any = None, average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Any, Any]:  # fmt: skip
        """(attended values, the weights or None)."""
        batched = query.ndim == 3
        if not batched:
            query, key, value = (x.unsqueeze(0) for x in (query, key, value))
        elif not self.batch_first:
            query, key, value = (x.transpose(0, 1) for x in (query, key, value))
        if query.shape[-1] != self.embed_dim:
            raise AssertionError(
                f"was expecting embedding dimension of {self.embed_dim}, but got {query.shape[-1]}"
            )
        parts = self.in_proj_weight.chunk(3)
        biases = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        q, k, v = (
            self._heads(F.linear(x, w, b))
            for x, w, b in zip((query, key, value), parts, biases, strict=True)
        )
        mask = self._mask(attn_mask, key_padding_mask, q)
        weights = run(weights_of, (q, k, mask, False, None))
        kept = kept_of(tuple(weights.shape), self.dropout if self.training else 0.0, weights)
        attended = (weights if kept is None else weights * kept) @ v
        out = self.out_proj(attended.transpose(1, 2).reshape(query.shape))
        told = None
        if need_weights:
            told = weights.mean(dim=1) if average_attn_weights else weights
        if not batched:
            return out.squeeze(0), None if told is None else told.squeeze(0)
        return out if self.batch_first else out.transpose(0, 1), told

    def _mask(self, attn_mask: Any, padding: Any, q: Any) -> Any:
        mask = _added(attn_mask, q.dtype)
        if mask is not None and mask.ndim == 3:
            mask = mask.reshape(-1, self.num_heads, *mask.shape[1:])
        if padding is None:
            return mask
        keys = _added(padding, q.dtype)
        if keys.ndim not in (1, 2):
            raise fault("For batched query, expected `key_padding_mask` to be None or 2-D")
        keys = keys.reshape(-1, 1, 1, keys.shape[-1])
        return keys if mask is None else keys + mask


def _activation(given: Any) -> Any:
    return getattr(F, given) if isinstance(given, str) else given


class TransformerEncoderLayer(Module):
    """Self-attention, then a network of two linear maps; each added to its input, normalised."""

    def __init__(
        self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1,
        activation: Any = "relu", layer_norm_eps: float = 1e-5, batch_first: bool = False,
        norm_first: bool = False, bias: bool = True,
    ):  # fmt: skip
        super().__init__()
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first)
        self.linear1 = Linear(d_model, dim_feedforward, bias)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps)
        self.norm2 = LayerNorm(d_model, layer_norm_eps)
        self.dropout1, self.dropout2 = Dropout(dropout), Dropout(dropout)
        self.activation = _activation(activation)

    def forward(
        self, src: Any, src_mask: Any = None, src_key_padding_mask: Any = None,
        is_causal: bool = False,
    ) -> Any:  # fmt: skip
        """The layer."""
        masks = {"attn_mask": src_mask, "key_padding_mask": src_key_padding_mask}

        def attended(x: Any) -> Any:
            return self.dropout1(self.self_attn(x, x, x, need_weights=False, **masks)[0])

        def mapped(x: Any) -> Any:
            return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))

        x = src
        if self.norm_first:
            x = x + attended(self.norm1(x))
            return x + mapped(self.norm2(x))
        x = self.norm1(x + attended(x))
        return self.norm2(x + mapped(x))


class TransformerDecoderLayer(Module):
    """Self-attention, attention to a memory, then a network of two linear maps."""

    def __init__(
        self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1,
        activation: Any = "relu", layer_norm_eps: float = 1e-5, batch_first: bool = False,
        norm_first: bool = False, bias: bool = True,
    ):  # fmt: skip
        super().__init__()
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first)
        self.multihead_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first)
        self.linear1 = Linear(d_model, dim_feedforward, bias)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias)
        self.norm_first = norm_first
        for i in (1, 2, 3):
            setattr(self, f"norm{i}", LayerNorm(d_model, layer_norm_eps))
        for i in (1, 2, 3):
            setattr(self, f"dropout{i}", Dropout(dropout))
        self.activation = _activation(activation)

    def forward(
        self, tgt: Any, memory: Any, tgt_mask: Any = None, memory_mask: Any = None,
        tgt_key_padding_mask: Any = None, memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False, memory_is_causal: bool = False,
    ) -> Any:  # fmt: skip
        """The layer."""

        def own(x: Any) -> Any:
            given = {"attn_mask": tgt_mask, "key_padding_mask": tgt_key_padding_mask}
            return self.dropout1(self.self_attn(x, x, x, need_weights=False, **given)[0])

        def other(x: Any) -> Any:
            given = {"attn_mask": memory_mask, "key_padding_mask": memory_key_padding_mask}
            found = self.multihead_attn(x, memory, memory, need_weights=False, **given)[0]
            return self.dropout2(found)

        def mapped(x: Any) -> Any:
            return self.dropout3(self.linear2(self.dropout(self.activation(self.linear1(x)))))

        x = tgt
        for part, norm in ((own, self.norm1), (other, self.norm2), (mapped, self.norm3)):
            x = x + part(norm(x)) if self.norm_first else norm(x + part(x))
        return x


class _Stack(Module):
    """Copies of a layer, one after the other."""

    def __init__(self, layer: Module, num_layers: int, norm: Module | None = None, **_: Any):
        super().__init__()
        self.layers = ModuleList([copy.deepcopy(layer) for _ in range(num_layers)])
        self.num_layers, self.norm = num_layers, norm

    def forward(self, src: Any, *args: Any, **kwargs: Any) -> Any:
        """All layers, then the norm."""
        x = src
        for layer in self.layers:
            x = layer(x, *args, **self._options(kwargs))
        return x if self.norm is None else self.norm(x)

    def _options(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        return kwargs


class TransformerEncoder(_Stack):
    """Copies of an encoder layer, one after the other."""

    def _options(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        return {"src_mask" if name == "mask" else name: x for name, x in kwargs.items()}


class TransformerDecoder(_Stack):
    """Copies of a decoder layer, one after the other."""


class Transformer(Module):
    """An encoder and a decoder that attends to what it gives."""

    def __init__(
        self, d_model: int = 512, nhead: int = 8, num_encoder_layers: int = 6,
        num_decoder_layers: int = 6, dim_feedforward: int = 2048, dropout: float = 0.1,
        activation: Any = "relu", layer_norm_eps: float = 1e-5, batch_first: bool = False,
        norm_first: bool = False, bias: bool = True,
    ):  # fmt: skip
        super().__init__()
        given = (
            d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first,
            norm_first, bias,
        )  # fmt: skip
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first
        self.encoder = TransformerEncoder(
            TransformerEncoderLayer(*given), num_encoder_layers, LayerNorm(d_model, layer_norm_eps)
        )
        self.decoder = TransformerDecoder(
            TransformerDecoderLayer(*given), num_decoder_layers, LayerNorm(d_model, layer_norm_eps)
        )
        for x in self.parameters():
            if x.ndim > 1:
                init.xavier_uniform_(x)

    def forward(
        self, src: Any, tgt: Any, src_mask: Any = None, tgt_mask: Any = None,
        memory_mask: Any = None, src_key_padding_mask: Any = None,
        tgt_key_padding_mask: Any = None, memory_key_padding_mask: Any = None,
    ) -> Any:  # fmt: skip
        """The decoder's output."""
        memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask)
        return self.decoder(
            tgt, memory, tgt_mask=tgt_mask, memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
        )  # fmt: skip

    @staticmethod
    def generate_square_subsequent_mask(sz: int, **_: Any) -> Any:
        """-inf above the diagonal, else 0."""
        return FUNCTIONS["triu"](zeros(sz, sz) + float("-inf"), 1)

"""Transformer encoders: of text, and of images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_SIZE = 224


class Layer(nn.Module):
    """Attention and a perceptron, each with a residual and a norm (Vaswani et al., NeurIPS 2017).

    Parameters
    ----------
    width, heads, hidden : int
    norm_first : bool
        Whether the norms stand before the two parts or after the residuals.
    """

    def __init__(self, width: int, heads: int, hidden: int, norm_first: bool) -> None:
        super().__init__()
        self.heads, self.norm_first = heads, norm_first
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def attend(self, x: Tensor) -> Tensor:
        """Return what each token gathers from the others."""
        q, k, v = (
            layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        gathered: Tensor = self.out(
            F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        )
        return gathered

    def forward(self, x: Tensor) -> Tensor:
        """Compute the layer on (batch, tokens, width)."""
        if self.norm_first:
            x = x + self.attend(self.norm1(x))
            y: Tensor = x + self.down(F.gelu(self.up(self.norm2(x))))
            return y
        x = self.norm1(x + self.attend(x))
        y = self.norm2(x + self.down(F.gelu(self.up(x))))
        return y


class Encoder(nn.Sequential):
    """Layers on hidden states (batch, tokens, width), as between an embedding and a head."""

    def __init__(self, depth: int, width: int, norm_first: bool) -> None:
        heads, hidden = width // 64, 4 * width
        super().__init__(*[Layer(width, heads, hidden, norm_first) for _ in range(depth)])


class ViT(nn.Module):
    """A vision transformer on patches of 16 × 16 (Dosovitskiy et al., ICLR 2021).

    Parameters
    ----------
    size : int
        Height and width of the image.
    depth, width, classes : int
    """

    def __init__(self, size: int, depth: int, width: int, classes: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 16, 16)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.position = nn.Parameter(torch.randn(1, (size // 16) ** 2 + 1, width) / 2)
        self.encoder = Encoder(depth, width, norm_first=True)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(x), -1, -1), tokens], 1) + self.position
        logits: Tensor = self.head(self.norm(self.encoder(tokens))[:, 0])
        return logits


def bert(size: int, classes: int) -> tuple[nn.Module, Tensor]:
    """Return the encoder of BERT-base (Devlin et al., NAACL 2019) on 128 · size / 224 tokens."""
    width = _shrunk(768, size, 64)
    hidden_states = torch.randn(1, max(128 * size // _SIZE, 1), width)
    return Encoder(_shrunk(12, size, 1), width, norm_first=False), hidden_states


def vit(size: int, classes: int) -> tuple[nn.Module, Tensor]:
    """Return ViT-S/16 (Touvron et al., "DeiT", ICML 2021)."""
    model = ViT(size, _shrunk(12, size, 1), _shrunk(384, size, 64), classes)
    return model, torch.randn(1, 3, size, size)


def _shrunk(whole: int, size: int, step: int) -> int:
    """Return a depth or width in proportion to a size below the usual, two steps at least."""
    return max(min(size, _SIZE) * whole // _SIZE // step, 2) * step


NETWORKS = {"bert": bert, "vit": vit}

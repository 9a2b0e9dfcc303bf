"""`torch.backends`: what there is none of. Its flags may be set, and say nothing."""

from __future__ import annotations

from types import SimpleNamespace

mps = SimpleNamespace(is_available=lambda: False, is_built=lambda: False)
cuda = SimpleNamespace(is_built=lambda: False, matmul=SimpleNamespace(allow_tf32=False))
cudnn = SimpleNamespace(
    is_available=lambda: False, enabled=False, benchmark=False, deterministic=True
)

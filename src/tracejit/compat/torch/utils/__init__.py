"""`torch.utils`: data sets and loaders, checkpoints."""

# ruff: noqa: F401 - a namespace
from tracejit.compat.torch.utils import checkpoint, data

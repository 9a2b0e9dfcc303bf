"""JAX's own tests of derivatives, run on tracejit: `jax` and its test tools resolve to tracejit.

    python -m benchmarks.jaxtests CHECKOUT

CHECKOUT is a checkout of jax-ml/jax; nothing of it is kept here. `shim.py` is what its test file
imports, `harness.py` the parts of its test tools that make cases and inputs, `__main__.py` runs the
cases and says why those that fail do.
"""

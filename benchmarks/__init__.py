"""How fast, against whom: cases x systems, checked to the same values.

python -m benchmarks.run --quick
"""

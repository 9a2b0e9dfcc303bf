"""From a Python call to a program: what an argument is, staging it, keeping what was compiled.

Reading order: values (one leaf), arguments (a whole call), run (a jaxpr on values), programs (what
a jit keeps).
"""

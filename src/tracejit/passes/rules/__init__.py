"""What `fold` knows: rewrites by operation family, under the family's file name.

A rule never makes a program worse and keeps its values: bit for bit, but that the sign of a zero
may change (x + 0 is x, as in XLA), and where a file says so, in the last place.
"""

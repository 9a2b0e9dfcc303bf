"""The language: what programs are. Knows no operation.

Reading order: types, graph, primitive, builder, walk, check, printing, parsing.
"""

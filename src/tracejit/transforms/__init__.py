"""The calculus: jaxpr to jaxpr. Names no operation but the vector space's own.

jvp, then linearize (split into what is known and what is linear), then transpose; batch for vmap.
"""

"""Operations that hold jaxprs, and the functions that make them.

    call       a jaxpr, as one operation           (nested jit)
    cond       one of several jaxprs               lax.cond, lax.switch
    while      a jaxpr, as long as another says    lax.while_loop, lax.fori_loop
    scan       a jaxpr, for each row of arrays     lax.scan, lax.fori_loop, lax.map

The jaxprs are closed: what the user's function captured is an operand, ahead of its arguments.
The rules of these operations are the transforms of what they hold, which is why they stand above
the transforms. Each has `split` beside the usual five duties, and its transpose takes `guarded`:
whether the cotangents have zeros that must stay zero (see transforms/transpose.py).
"""

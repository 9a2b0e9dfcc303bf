"""Which elements of results depend on which elements of inputs, found from a linear jaxpr.

    y = add(mul(c, slice(x)), slice(x))     ->      y[i] depends on {x[i], x[i+1]}

Needs a linear jaxpr, such as `linearize` makes: what the operations do beside moving elements and
adding them up plays no part, so that a few rules serve all of them, and second derivatives, too.
Leaves a `Pattern`, which holds for all values: both sides of a `select`, all branches of a `cond`.
Does not look at numbers, except at those that are constants of the program: integers (places of
gathers, counters of loops), conditions, and the zeros of constant arrays. Reading order: sets,
rules, sums, loops, known, find; colour says how many products with the Jacobian give all of it.
"""

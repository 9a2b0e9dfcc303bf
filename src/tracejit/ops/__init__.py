"""What each operation means: typing, NumPy value, derivative, transpose, batching.

By family: elementwise, complex, special, structure, reduction, contraction, linalg, orthogonal,
eigen, indexing, fourier, random. Adjoint pairs share a file. `places` is how the indexing family
reads index vectors. How a machine does an operation is in that backend's file of the same family.
"""

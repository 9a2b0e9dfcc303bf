"""x[a:b] and x[mask] with traced a, b and mask: arrays whose length is a traced number.

    affine        integers in normal form: i + 3 - i is 3, and what is known of their range
    spans         the extent of an axis: the window [lo, hi), or the elements that a mask takes
    windowed      the class `Windowed`: an array of full extent, with windows on some of its axes
    alignment     windows of one length brought to one place
    elementwise   functions element by element
    reducing      sums, extrema, means, running sums
    products      dot and its relatives
    access        reading and writing: what is lent to tracers
    functions     which function of NumPy is answered by what

All programs have static shapes: a window is a mask, in the form that backends know as the bounds of
a loop. docs/decisions/0013-windows.md says why.
"""

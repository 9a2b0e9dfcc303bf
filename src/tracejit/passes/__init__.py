"""IR to better IR: one pass a file, pipelines as lists with reasons.

A pass is a pure function from a jaxpr to a jaxpr of the same inputs, types and values. It returns
the jaxpr itself where it finds nothing to do. Reading order: standard (the pipelines), pipeline
(what runs, checks and reports them), then inline, fold (and its rules), cse, dce.
"""

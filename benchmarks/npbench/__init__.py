"""The NPBench suite (repository spcl/npbench), from a checkout: values, gradients, timings.

Nothing of the suite is here: its sources, sizes and data are read from the checkout.
"""

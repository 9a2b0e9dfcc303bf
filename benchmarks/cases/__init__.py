"""The workloads, a file each; `benchmarks.case.all_cases` finds them."""

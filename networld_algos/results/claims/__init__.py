"""Claims about the benchmark, and what the rows of a suite say about each of them.

`networld_algos.results.claims.paper` has the sentences of the paper, and
`networld_algos.results.claims.aims` the aims of this project. `check` compares them with rows.
"""

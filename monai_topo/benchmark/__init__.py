"""Timings compared with other packages: `python -m monai_topo.benchmark` (extra `benchmark`).

All times are medians measured in one run in which the tasks take turns (losses of other packages: once). The diagrams
of the packages are compared too. Packages that are not installed leave their columns and rows empty.
"""

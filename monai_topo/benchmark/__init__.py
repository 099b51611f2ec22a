"""How long everything takes here, beside its peers: `python -m monai_topo.benchmark` (extra `benchmark`).

All is measured side by side in one run, the tasks taking turns, as medians (losses of peers once); the diagrams are
compared while at it. Peers that are not installed leave their columns and rows empty.
"""

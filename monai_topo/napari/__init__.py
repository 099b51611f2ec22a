"""Plug-in of napari: layers for the topological errors of a segmentation, and a list that leads to each of them."""

"""Figures of the documentation, one module per page; the Sphinx build draws all of them but the tutorial's."""

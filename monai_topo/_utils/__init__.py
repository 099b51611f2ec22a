"""Helpers that know nothing of topology: types, validation, the compiled kernel, files, processes, caching."""

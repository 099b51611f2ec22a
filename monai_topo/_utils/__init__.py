"""Helpers without topology: types, validation, the compiled kernel, files, processes, caching."""

"""
Convert configuration files of other mirroring tools.

Nothing here prints. A format is one module with NAME, `is_format` and `convert`, listed in `formats`.
"""

"""
Find the images that files, charts and clusters use.

Nothing here prints, and nothing asks a registry. `model` is what is found, `find` reads any path, and each form of file has one module.
"""

"""Events of registries: check who sends them, and take hints from them."""

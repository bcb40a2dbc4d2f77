"""The main job shown on two embedded registries: enough of the specification for any client to pull from them."""

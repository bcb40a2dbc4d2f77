"""Show validate, plan and apply on two embedded registries."""

"""What a registry holds: one module per dialect, each yielding repositories, and tags with what the listing knows of them."""

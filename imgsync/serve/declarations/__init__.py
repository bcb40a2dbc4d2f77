"""Where the declarations come from: a folder, or a branch of a git repository."""

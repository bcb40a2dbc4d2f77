"""Follow the declarations, in a folder or in a git branch."""

"""Write what container runtimes need to pull from the mirror."""

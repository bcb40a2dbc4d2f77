"""One writer at a time: a Lease of Kubernetes as a fence."""

"""The parts of an image: manifests, blobs, referrers."""

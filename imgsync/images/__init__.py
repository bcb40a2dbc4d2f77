"""Read images: manifests, blobs and referrers."""

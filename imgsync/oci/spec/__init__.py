"""References, digests, manifests and referrers as the OCI specifications define them."""

"""References, digests, manifests and referrers as the specifications define them."""

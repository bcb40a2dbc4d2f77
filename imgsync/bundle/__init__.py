"""Bundles: images in volumes that are carried across an air gap."""

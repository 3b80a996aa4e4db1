"""Classifies images in bulk, on Ray."""

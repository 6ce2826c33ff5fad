"""Streaming under its old path."""

"""Fits as text, HTML and tidy frames."""

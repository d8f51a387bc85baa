"""Designs of rows that come in batches: levels and encodings by a first pass, arrays batch by batch afterwards."""

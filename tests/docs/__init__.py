"""Tests of the pages of docs/, from the very code that the pages show."""

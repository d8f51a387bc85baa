"""Cross-products of the data: the only thing the linear fitter sees."""

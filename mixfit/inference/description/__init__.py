"""What describes a fit: tidy frames, variance explained, principal components, coefficients by level."""

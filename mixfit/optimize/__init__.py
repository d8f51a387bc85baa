"""Newton steps on covariance factors, and the certificate that says why they stopped."""

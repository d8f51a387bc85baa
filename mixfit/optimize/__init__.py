"""Optimization as functions of numbers: Newton and quasi-Newton steps, and the certificate of why they stopped."""

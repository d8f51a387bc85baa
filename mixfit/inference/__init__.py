"""Tests, degrees of freedom, intervals and bootstraps: functions of results."""

"""Benchmarks: suites of tasks, runs of hebbit and of Stable-Baselines3, statistics and the report."""

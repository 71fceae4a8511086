"""Flows: graphs of task calls, built inside `with Flow(name)` and run in this process.

The interface and its meaning are those of Prefect 1.4.1, whose published scripts run here unchanged.
"""

"""Where runs are recorded. The only package that imports mlflow, and only inside functions."""

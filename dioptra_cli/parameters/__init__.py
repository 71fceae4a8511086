"""What parameter values mean: the types, and how values, defaults and their origins come together."""

"""New entry points and projects as text: from the declared parameters to Python and YAML."""

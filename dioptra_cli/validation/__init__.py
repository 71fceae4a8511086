"""Everything that can be said of an MLproject file without running it: problems, explanations, repairs, a schema."""

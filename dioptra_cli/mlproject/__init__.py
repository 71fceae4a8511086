"""What an MLproject file says: its model, how it is read, and what is wrong with it."""

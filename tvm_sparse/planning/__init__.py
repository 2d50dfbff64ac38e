"""Choose a scheme for every layer: the least error that a budget of time or bytes allows."""

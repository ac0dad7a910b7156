"""Pictures that stay in a GPU's memory, and how they become a network's input there."""

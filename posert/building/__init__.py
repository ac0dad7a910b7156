"""From a model and settings to the engine that runs here: chosen, built, judged and kept."""

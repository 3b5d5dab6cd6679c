"""Train, evaluate, save and share one model."""

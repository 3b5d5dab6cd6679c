"""Judge a policy from recorded data alone, with textbook estimators (off-policy evaluation)."""

"""What several test files share; import it as ``tests.helpers``."""

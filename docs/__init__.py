"""The documentation pages; their examples run in the tests."""

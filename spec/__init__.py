"""The specification: one Markdown page per topic, and the strict loader of their TOML blocks."""

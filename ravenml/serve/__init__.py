"""Models behind HTTP, and the safety of everything of ravenML's that listens."""

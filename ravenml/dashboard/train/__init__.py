"""The wizard: from a project to a training, in seven steps."""

"""What travels in Click's context from the front door to a training command, and under which key."""

ARGV = "ravenml.argv"  # list[str]: all that was typed behind `raven`
PLUGIN = "ravenml.plugin"  # ravenml.plugin.discovery.Plugin: the plugin that was called
SETTINGS_MODEL = "ravenml.settings_model"  # type[BaseModel]: the settings that it publishes
OPTIONS = "ravenml.options"  # the core's options that were given, with their rank
SETTINGS = "ravenml.settings"  # the plugin's settings that were given
SESSION = "ravenml.session"  # ravenml.train.session.Session: the training of this command line

"""The command line: parse, build a configuration, call, show."""

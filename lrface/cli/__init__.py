"""The command line: one thin file a command; each parses, calls the library, prints."""

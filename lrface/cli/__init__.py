"""The command line. Each command has one file, which parses the options, calls the library and prints the result."""

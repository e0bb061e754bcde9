"""One module a command: it reads the command line, asks the other rooms, and prints."""

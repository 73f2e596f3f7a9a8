"""The command line. Imported by nobody."""

"""The organs: plain classes that do one thing each."""

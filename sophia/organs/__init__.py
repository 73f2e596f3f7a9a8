"""The organs: plain classes that do one thing each; actors come around them."""

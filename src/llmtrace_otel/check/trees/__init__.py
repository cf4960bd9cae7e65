"""Expected trees: their language, whether recorded steps are what they say, and if not, what differs."""

"""The ways out: what a message is, how it is kept, how it is handed over."""

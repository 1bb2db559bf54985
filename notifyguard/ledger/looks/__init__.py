"""Looking things up: what an operator asks of the ledger. Nothing here changes it."""

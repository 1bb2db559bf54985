"""Messages frozen under one Django are thawed under every other.

Every Django freezes the corpus to the same recorded form, and every Django thaws
that form to the message it would have built itself; so any pair of them agrees.
"""

"""The header of a task message under which it carries what was said where it was published.

One of text, which every transport carries and which survives retries.
"""

HEADER = "notifyguard"

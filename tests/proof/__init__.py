"""The oracle: real processes, real kills, and a checker that trusts only journals.

``python -m tests.proof kills``, ``flips``, ``release`` and ``celery``; see
docs/reference/proof.md.
"""

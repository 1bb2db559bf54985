"""The oracle: real processes, real kills, and a checker that trusts only journals.

``python -m tests.proof kills`` and ``python -m tests.proof flips``; see
docs/reference/proof.md.
"""

"""What a guarded mail costs, as ratios within one run: ``python -m tests.benchmarks``.

Not tests: nothing fails because a machine was busy. What a message may cost in statements
and commits is asserted by ``tests/integration/test_gate_costs.py``.
"""

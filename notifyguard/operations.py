"""For migrations that are to tell people something: the inform step as an operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation, OperationCategory
from django.db.migrations.operations.special import SeparateDatabaseAndState
from django.db.migrations.state import ProjectState

from notifyguard import context

__all__ = ["Unsuppress"]


class Unsuppress(Operation):
    """Run operations whose mail of some types is meant to be sent.

    ``migrate`` notifies nobody by itself. This lifts that, in both directions, for
    the types named and for what ``on_commit`` runs later; switches and every other
    rule still hold. To the migration framework it is the operations inside: their
    state, their SQL, their way back.

    Args:
        pattern: the notification types meant, ``ticket.announcement`` or ``ticket.*``.
        reason: why these people are told, for whoever looks later.
        operations: what to run, usually one ``RunPython``.

    Raises:
        ValueError: the reason is blank or the pattern cannot be used.
    """

    category = OperationCategory.MIXED
    serialization_expand_args = ["operations"]
    # The stubs know them as constants of a class; here the operations inside decide.
    reversible: bool  # type: ignore[misc]
    reduces_to_sql: bool  # type: ignore[misc]
    elidable: bool  # type: ignore[misc]
    atomic: bool | None  # type: ignore[misc,assignment]

    # By position or by name: the migration writer leaves out keyword-only arguments.
    def __init__(self, pattern: str, reason: str, operations: Sequence[Operation]) -> None:
        self.pattern = pattern
        self.reason = reason
        self.operations = list(operations)
        self.reversible = all(operation.reversible for operation in self.operations)
        self.reduces_to_sql = any(operation.reduces_to_sql for operation in self.operations)
        self.elidable = all(operation.elidable for operation in self.operations)
        self.atomic = _atomic(self.operations)
        self._lifted()  # a bad pattern or reason is told when the migration is loaded

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        for operation in self.operations:
            operation.state_forwards(app_label, state)

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        steps = self._steps(schema_editor)
        with self._lifted():
            steps.database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        steps = self._steps(schema_editor)
        with self._lifted():
            steps.database_backwards(app_label, schema_editor, from_state, to_state)

    def describe(self) -> str:
        inside = "; ".join(operation.describe() for operation in self.operations)
        return f"Unsuppress {self.pattern} ({self.reason}): {inside}"

    def _lifted(self) -> Any:
        return context.unsuppressed(self.pattern, reason=self.reason)

    def _steps(self, schema_editor: BaseDatabaseSchemaEditor) -> SeparateDatabaseAndState:
        """Return the operations as one that keeps their states apart."""
        if not schema_editor.collect_sql:
            return SeparateDatabaseAndState(database_operations=self.operations)
        # Only ``sqlmigrate`` asks; Django looks at us alone and would run the code inside.
        shown = [operation for operation in self.operations if operation.reduces_to_sql]
        schema_editor.collected_sql.extend(
            f"-- {operation.describe()}: CANNOT BE WRITTEN AS SQL"
            for operation in self.operations
            if not operation.reduces_to_sql
        )
        return SeparateDatabaseAndState(database_operations=shown)


def _atomic(operations: Sequence[Operation]) -> bool | None:
    """Say whether to open a transaction where the migration has none, as its operations do.

    Returns:
        True for yes, ``None`` for what the migration's own ``atomic`` says (data
        operations on databases whose schema changes commit), False for no.
    """
    wishes = {operation.atomic for operation in operations}
    if True in wishes:
        return True
    return None if wishes == {None} else False

"""What a registry says no with: a status of HTTP and a code of its own."""

from choreo.contracts.mode import Mode


class Refusal(Exception):
    """One answer that is no success."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def no_subject(subject: str) -> Refusal:
    """Say that there is no such subject."""
    return Refusal(404, 40401, f"Subject '{subject}' not found.")


def no_version(version: object) -> Refusal:
    """Say that a subject has no such version."""
    return Refusal(404, 40402, f"Version {version} not found.")


def no_schema() -> Refusal:
    """Say that there is no such schema."""
    return Refusal(404, 40403, "Schema not found")


def no_level(subject: str) -> Refusal:
    """Say that a subject has no compatibility of its own."""
    return Refusal(
        404, 40408, f"Subject '{subject}' does not have subject-level compatibility configured"
    )


def invalid_schema(why: str) -> Refusal:
    """Say that what came is no Avro schema."""
    return Refusal(422, 42201, f"Invalid schema: {why}")


def invalid_version(text: str) -> Refusal:
    """Say that what came names no version."""
    return Refusal(
        422, 42202, f"The specified version '{text}' is not a valid version id: 'latest' or 1…"
    )


def invalid_level(text: object) -> Refusal:
    """Say that what came names no compatibility."""
    known = ", ".join(mode.upper() for mode in Mode)
    return Refusal(422, 42203, f"Invalid compatibility level {text!r}: one of {known}")


def incompatible(why: str) -> Refusal:
    """Say that a schema breaks with earlier ones."""
    return Refusal(409, 409, f"Schema being registered is incompatible with an earlier one: {why}")

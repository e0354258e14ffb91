"""Which refusals pass by themselves: Kafka's list says so of more than its client knows.

Source: Kafka protocol guide, error codes, column "retriable".
"""

from aiokafka.errors import KafkaError, for_code

MORE = {
    9: "REPLICA_NOT_AVAILABLE",
    13: "NETWORK_EXCEPTION",
    72: "LISTENER_NOT_FOUND",
    89: "THROTTLING_QUOTA_EXCEEDED",
}
"""What a question for topics or their creation is answered with while brokers come and go, and
aiokafka takes for final, or does not know."""


class PassingError(KafkaError):
    """A refusal that the client takes for final, and that is not."""

    retriable = True


def refusal(code: int, about: str) -> KafkaError:
    """Make the error that tells of a refusal; its ``retriable`` can be relied on."""
    if code in MORE:
        return PassingError(f"{MORE[code]}: {about}")
    error: KafkaError = for_code(code)(about)
    return error

"""The queues of a fleet, by name, as RabbitMQ knows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imgsync.system.dataclass import dataclass

# How often a batch is delivered before it is taken for one that kills its workers. RabbitMQ 4 would drop it at 20: rabbitmq-server#11937.
MOST_DELIVERIES = 5
_QUORUM = {"x-queue-type": "quorum"}


@dataclass(frozen=True, slots=True)
class QueueNames:
    """The names of a fleet's queues, all from one."""

    work: str

    @property
    def results(self) -> str:
        """Return the queue of the workers' answers, and its exchange."""
        return f"{self.work}.results"

    @property
    def dead(self) -> str:
        """Return the queue of batches that no worker could answer."""
        return f"{self.work}.dead"

    @property
    def lock(self) -> str:
        """Return the queue that only one coordinator can hold."""
        return f"{self.work}.coordinator"

    @property
    def arguments(self) -> dict[str, dict[str, Any]]:
        """Return the arguments of each durable queue."""
        work = {**_QUORUM, "x-delivery-limit": MOST_DELIVERIES, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": self.dead}
        return {self.dead: dict(_QUORUM), self.results: dict(_QUORUM), self.work: work}


def publish(producer: Any, queue: str, body: bytes, *, headers: Mapping[str, str], exchange: str = "") -> None:
    """Publish *body* to *queue* by *exchange*, to be kept on disk."""
    properties = {"content_type": "application/json", "content_encoding": "utf-8", "delivery_mode": 2, "headers": dict(headers)}
    # As the producer's connection is set up, it waits until the broker has it. What has no queue is an error.
    producer.publish(body, exchange=exchange, routing_key=queue, mandatory=True, **properties)


def declare_queues(channel: Any, names: QueueNames) -> None:
    """Declare the durable queues; those that exist stay as they are."""
    for name, arguments in names.arguments.items():
        channel.queue_declare(queue=name, durable=True, auto_delete=False, arguments=arguments)
    # Answers have an exchange of their own: who may write to the default one may write to every queue.
    channel.exchange_declare(exchange=names.results, type="direct", durable=True, auto_delete=False)
    channel.queue_bind(queue=names.results, exchange=names.results, routing_key=names.results)

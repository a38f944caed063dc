"""Reads the audit topic up to its end with confluent-kafka and checks it: python consume.py 127.0.0.1:9092"""

import sys

from check_events import Checker
from confluent_kafka import Consumer, KafkaException, TopicPartition

TOPIC = "kms.audit.v1"


def main(brokers):
    # The partitions are assigned by hand, so the group is only a name: it is not joined, and no offset is committed.
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "my-compliance", "enable.auto.commit": False})
    partitions = consumer.list_topics(TOPIC, timeout=10).topics[TOPIC].partitions
    checker = Checker()
    for partition in partitions:
        low, high = consumer.get_watermark_offsets(TopicPartition(TOPIC, partition), timeout=10)
        consumer.assign([TopicPartition(TOPIC, partition, low)])
        while low < high:
            message = consumer.poll(10)
            if message is None:
                raise TimeoutError("the broker gives no messages")
            if message.error():
                raise KafkaException(message.error())
            checker.take(f"{partition}/{message.offset()}", message.key() or b"", message.value() or b"")
            low = message.offset() + 1
    consumer.close()
    return checker.finish()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

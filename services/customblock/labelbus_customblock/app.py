"""Custom blocks as a process on Kafka: `faststream run labelbus_customblock.app:app`."""

from labelbus_labeling.app import kafka_app

from labelbus_customblock import registration

app = kafka_app(registration())

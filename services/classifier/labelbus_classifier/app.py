"""The classifier as a process on Kafka: `faststream run labelbus_classifier.app:app`."""

from labelbus_labeling.app import kafka_app

from labelbus_classifier import registration

app = kafka_app(registration())

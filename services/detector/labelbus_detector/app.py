"""The detector as a process on Kafka: `faststream run labelbus_detector.app:app`."""

from labelbus_labeling.app import kafka_app

from labelbus_detector import registration

app = kafka_app(registration())

"""The audio labeler as a process on Kafka: `faststream run labelbus_audio.app:app`."""

from labelbus_labeling.app import kafka_app

from labelbus_audio import registration

app = kafka_app(registration())

"""The classifier service: the labeler `pretrained` has another project's impulse label images."""

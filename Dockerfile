# One recipe for every image. EXTRA names the extras of PACKAGE that this image gets besides:
#   docker build --build-arg PACKAGE=services/detector --build-arg EXTRA=torch -t labelbus-detector .
FROM python:3.12-slim

ARG PACKAGE=cli
ARG EXTRA=""
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /opt/labelbus
COPY requirements.lock ./
# The lock as constraints: each image installs only what its member needs, at the pinned versions.
RUN sed -n 's/^\([A-Za-z0-9._-]*==[^ ;\\]*\)\( ;[^\\]*\)\{0,1\} \\$/\1\2/p' requirements.lock > constraints.txt
COPY contracts contracts
COPY libs libs
COPY services services
COPY cli cli
COPY simulator simulator
# Members are small; what is heavy is an extra, and only the image that names it gets it.
RUN pip install --constraint constraints.txt \
      ./contracts "./libs/runtime[kafka]" ./libs/studio ./libs/ledger ./libs/labeling \
      ./services/* ./simulator ./cli "./${PACKAGE}${EXTRA:+[$EXTRA]}" \
 && useradd --create-home --uid 10001 labelbus \
 && install -d -o labelbus /var/lib/labelbus /home/labelbus/.cache
USER labelbus
ENV LABELBUS_HOME=/var/lib/labelbus
CMD ["python", "-c", "raise SystemExit('Name a command, such as: faststream run labelbus_detector.app:app')"]

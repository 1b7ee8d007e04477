# syntax=docker/dockerfile:1
# Serving without torch. CPU:  docker build -t pandok .
# GPU (CUDA, TensorRT):        docker build --build-arg ACCELERATOR=cuda -t pandok:cuda .

ARG ACCELERATOR=cpu
ARG CUDA_IMAGE=nvidia/cuda:13.0.1-cudnn-runtime-ubuntu24.04

FROM python:3.11-slim-bookworm AS build
ARG ACCELERATOR
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY models models
COPY preprocessing preprocessing
COPY service service
COPY training training
RUN python -m venv /opt/pandok \
 && /opt/pandok/bin/pip install --no-cache-dir --disable-pip-version-check ".[postgres]" \
 && if [ "$ACCELERATOR" = "cuda" ]; then \
      /opt/pandok/bin/pip uninstall --yes onnxruntime \
      && /opt/pandok/bin/pip install --no-cache-dir --disable-pip-version-check ".[gpu,postgres]"; \
    fi

FROM python:3.11-slim-bookworm AS cpu

FROM ${CUDA_IMAGE} AS cuda
COPY --from=python:3.11-slim-bookworm /usr/local /usr/local
ENV PANDOK_EXECUTION_PROVIDER=cuda
RUN ldconfig

FROM ${ACCELERATOR} AS serve
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin pandok \
 && install --directory --owner pandok --mode 0700 /data
COPY --from=build /opt/pandok /opt/pandok
ENV PATH=/opt/pandok/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PANDOK_DATA_FOLDER=/data \
    PANDOK_WEB_HOST=0.0.0.0 \
    PANDOK_DICOM_HOST=0.0.0.0
USER pandok
VOLUME /data
EXPOSE 8042 11112 2762
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ.get('PANDOK_WEB_PORT', '8042') + '/live', timeout=2)"]
ENTRYPOINT ["pandok"]
CMD ["serve"]

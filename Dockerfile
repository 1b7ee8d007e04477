# syntax=docker/dockerfile:1
# Serving without torch.  CPU: docker build -t pandok .
# GPU (CUDA by pip's own libraries; the host needs NVIDIA's driver and container toolkit):
#                         docker build --build-arg ACCELERATOR=gpu -t pandok:gpu .
# The build stage fetches Node from PyPI and the pages' packages from npm.

ARG ACCELERATOR=cpu

FROM python:3.11-slim-bookworm AS build
ARG ACCELERATOR
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY models models
COPY preprocessing preprocessing
COPY service service
COPY training training
RUN python -m venv /opt/pandok \
 && /opt/pandok/bin/pip install --no-cache-dir --disable-pip-version-check ".[${ACCELERATOR},postgres]"

FROM python:3.11-slim-bookworm AS serve-cpu
ENV PANDOK_EXECUTION_PROVIDER=cpu

FROM python:3.11-slim-bookworm AS serve-gpu
ENV PANDOK_EXECUTION_PROVIDER=cuda \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

FROM serve-${ACCELERATOR}
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
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["pandok", "alive"]
ENTRYPOINT ["pandok"]
CMD ["serve"]

# Workers of Swath with NVIDIA GPUs: Batch, SageMaker, Dask, Slurm with containers.
#
#   docker build -f deploy/docker/gpu.Dockerfile --build-arg SWATH_VERSION=0.1.0 -t swath-gpu:0.1.0 .
#
# Run it at the root of the checkout. Libraries are those of requirements.lock, checked by their
# hashes; PyTorch's wheels bring CUDA, and the driver comes from the machine. They are a layer of
# their own: another version of Swath with the same libraries is a few hundred kilobytes to push.

FROM python:3.11-slim-bookworm AS build
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1
RUN pip install --no-cache-dir uv==0.13.8
WORKDIR /build

FROM build AS libraries
COPY pyproject.toml requirements.lock ./
RUN uv venv --python /usr/local/bin/python /opt/swath \
 && uv pip install -p /opt/swath -c requirements.lock \
      -r pyproject.toml --extra learn --extra aws --extra dask

FROM build AS wheel
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN uv build --wheel --out-dir /wheel

FROM python:3.11-slim-bookworm
# GDAL in rasterio's wheel loads libexpat from the system. Its version is that of the base image's
# Debian release, which keeps only the newest.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends libexpat1 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 10001 swath
COPY --from=libraries /opt/swath /opt/swath
ENV PATH=/opt/swath/bin:$PATH PYTHONUNBUFFERED=1
# What the container runtime of NVIDIA mounts. ECS replaces `all` by the GPUs of the job.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility

# A tag that says another version than what is inside would be found out only by strange results.
ARG SWATH_VERSION
RUN --mount=type=bind,from=wheel,source=/wheel,target=/wheel \
    --mount=type=bind,from=build,source=/usr/local/bin/uv,target=/usr/local/bin/uv \
    uv pip install -p /opt/swath --no-cache --no-deps --compile-bytecode /wheel/*.whl \
 && inside="$(swath --version)" \
 && if [ "$inside" != "swath, version ${SWATH_VERSION:?give --build-arg SWATH_VERSION}" ]; then \
      echo "SWATH_VERSION is $SWATH_VERSION, and inside is: $inside" >&2; exit 1; fi
ENV SWATH_VERSION=$SWATH_VERSION
LABEL org.opencontainers.image.title="swath-gpu" \
      org.opencontainers.image.version="$SWATH_VERSION" \
      org.opencontainers.image.licenses="Apache-2.0"

USER 10001
WORKDIR /home/swath
CMD ["swath", "--help"]

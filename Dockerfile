# syntax=docker/dockerfile:1
# Images of PoseRT: docker build --target cpu|x86|l4t -t posert:TARGET .       (docs/docker.md)
ARG DEBIAN=debian:bookworm-20260918-slim
ARG TENSORRT=nvcr.io/nvidia/tensorrt:25.10-py3
ARG JETPACK=nvcr.io/nvidia/l4t-jetpack:r36.4.0
ARG VERSION=0.4.0
ARG UID=1000

# The wheel is the same for all: nothing in it is compiled.
FROM ${DEBIAN} AS wheel
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
ARG HATCHLING=1.33.0
RUN python3 -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir "hatchling==${HATCHLING}"
WORKDIR /src
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY models models
COPY demo demo
COPY posert posert
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheel .

# ---- cpu: onnxruntime and FFmpeg, for amd64 and arm64 ----
FROM ${DEBIAN} AS cpu-packages
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/posert
COPY pyproject.toml docker/requirements.py docker/constraints/cpu.txt /src/
RUN python3 /src/requirements.py /src/pyproject.toml > /src/wanted.txt \
    && /opt/posert/bin/pip install --no-cache-dir --only-binary :all: -c /src/cpu.txt -r /src/wanted.txt
COPY --from=wheel /wheel /wheel
RUN /opt/posert/bin/pip install --no-cache-dir --no-deps /wheel/*.whl

FROM ${DEBIAN} AS cpu
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/*
ARG UID
# Folders anyone may write to: with `--user` the owner of the mounted folders runs it.
RUN useradd --uid "${UID}" --groups video --create-home --shell /usr/sbin/nologin posert \
    && install -d -m 1777 /work /work/out /var/cache/posert \
    && install -d /models
COPY --from=cpu-packages /opt/posert /opt/posert
COPY configs /work/configs
ENV PATH=/opt/posert/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    XDG_CACHE_HOME=/tmp/cache \
    POSERT_CACHE=/var/cache/posert \
    POSERT_MODELS=/models \
    POSERT_STATUS=/tmp/posert-status.json
ARG VERSION
LABEL org.opencontainers.image.title="posert" \
      org.opencontainers.image.description="Multi-person pose estimation on files, cameras and streams" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
VOLUME ["/var/cache/posert", "/models"]
WORKDIR /work
USER ${UID}
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=2m --retries=3 CMD ["posert", "health"]
ENTRYPOINT ["posert"]
CMD ["--help"]

# ---- x86: TensorRT, NVDEC and NVENC, OpenCV with GStreamer and its nvcodec plug-in ----
FROM ${TENSORRT} AS x86-packages
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends g++ python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*
# The system's packages are seen: TensorRT and OpenCV come from there.
RUN /usr/bin/python3 -m venv --system-site-packages /opt/posert
ENV PATH=/usr/local/cuda/bin:$PATH \
    CUDA_ROOT=/usr/local/cuda \
    PIP_CONSTRAINT=
COPY pyproject.toml docker/requirements.py docker/constraints/x86.txt /src/
RUN /opt/posert/bin/python /src/requirements.py /src/pyproject.toml --extra gpu \
        --without opencv-python-headless > /src/wanted.txt \
    && /opt/posert/bin/pip install --no-cache-dir -c /src/x86.txt -r /src/wanted.txt
COPY --from=wheel /wheel /wheel
RUN /opt/posert/bin/pip install --no-cache-dir --no-deps /wheel/*.whl

FROM ${TENSORRT} AS x86
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        gstreamer1.0-libav \
        gstreamer1.0-plugins-bad \
        gstreamer1.0-plugins-base \
        gstreamer1.0-plugins-good \
        gstreamer1.0-plugins-ugly \
        python3-opencv \
    && rm -rf /var/lib/apt/lists/*
ARG UID
# Ubuntu 24.04 comes with a user of number 1000.
RUN if id ubuntu; then userdel --remove ubuntu; fi \
    && useradd --uid "${UID}" --groups video --create-home --shell /usr/sbin/nologin posert \
    && install -d -m 1777 /work /work/out /var/cache/posert \
    && install -d /models
COPY --from=x86-packages /opt/posert /opt/posert
# What would only be missed when a camera is opened ends the build.
RUN /opt/posert/bin/python -c "import cv2, importlib.util as i; \
    assert cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER), 'OpenCV without GStreamer'; \
    assert all(map(i.find_spec, ('tensorrt', 'pycuda', 'PyNvVideoCodec', 'posert'))), 'incomplete'"
COPY configs /work/configs
ENV PATH=/opt/posert/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    XDG_CACHE_HOME=/tmp/cache \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=video,compute,utility \
    POSERT_CACHE=/var/cache/posert \
    POSERT_MODELS=/models \
    POSERT_STATUS=/tmp/posert-status.json
ARG VERSION
LABEL org.opencontainers.image.title="posert" \
      org.opencontainers.image.description="Multi-person pose estimation with TensorRT, NVDEC and GStreamer" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
VOLUME ["/var/cache/posert", "/models"]
WORKDIR /work
USER ${UID}
STOPSIGNAL SIGTERM
# An engine is built at the first start: that takes minutes.
HEALTHCHECK --interval=30s --timeout=10s --start-period=10m --retries=3 CMD ["posert", "health"]
ENTRYPOINT ["posert"]
CMD ["--help"]

# ---- l4t: Jetson; JetPack 6 as it stands, JetPack 7 by build arguments ----
FROM ${JETPACK} AS l4t-packages
ARG CONSTRAINTS=l4t
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends g++ python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN /usr/bin/python3 -m venv --system-site-packages /opt/posert
ENV PATH=/usr/local/cuda/bin:$PATH \
    CUDA_ROOT=/usr/local/cuda \
    PIP_CONSTRAINT=
COPY pyproject.toml docker/requirements.py docker/constraints/${CONSTRAINTS}.txt /src/
RUN /opt/posert/bin/python /src/requirements.py /src/pyproject.toml --extra cuda \
        --without opencv-python-headless > /src/wanted.txt \
    && /opt/posert/bin/pip install --no-cache-dir -c "/src/${CONSTRAINTS}.txt" -r /src/wanted.txt
COPY --from=wheel /wheel /wheel
RUN /opt/posert/bin/pip install --no-cache-dir --no-deps /wheel/*.whl

FROM ${JETPACK} AS l4t
# JetPack's own OpenCV; python3-opencv is Ubuntu's. Jetson's own GStreamer elements come from the
# host when the container is started with the NVIDIA runtime; nvv4l2decoder asks kmod's lsmod which
# GPU is there.
ARG OPENCV=libopencv-python
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        gstreamer1.0-libav \
        gstreamer1.0-plugins-bad \
        gstreamer1.0-plugins-base \
        gstreamer1.0-plugins-good \
        gstreamer1.0-plugins-ugly \
        kmod \
        "${OPENCV}" \
    && rm -rf /var/lib/apt/lists/*
ARG UID
RUN if id ubuntu; then userdel --remove ubuntu; fi \
    && useradd --uid "${UID}" --groups video --create-home --shell /usr/sbin/nologin posert \
    && install -d -m 1777 /work /work/out /var/cache/posert \
    && install -d /models
COPY --from=l4t-packages /opt/posert /opt/posert
RUN /opt/posert/bin/python -c "import cv2, importlib.util as i; \
    assert cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER), 'OpenCV without GStreamer'; \
    assert all(map(i.find_spec, ('tensorrt', 'pycuda', 'posert'))), 'incomplete'"
COPY configs /work/configs
ENV PATH=/opt/posert/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    XDG_CACHE_HOME=/tmp/cache \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=video,compute,utility \
    POSERT_CACHE=/var/cache/posert \
    POSERT_MODELS=/models \
    POSERT_STATUS=/tmp/posert-status.json
ARG VERSION
LABEL org.opencontainers.image.title="posert" \
      org.opencontainers.image.description="Multi-person pose estimation for Jetson" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
VOLUME ["/var/cache/posert", "/models"]
WORKDIR /work
USER ${UID}
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=15m --retries=3 CMD ["posert", "health"]
ENTRYPOINT ["posert"]
CMD ["--help"]

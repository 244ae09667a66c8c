# The app's image, for amd64 and aarch64, also for plain Docker. docker/Dockerfile.cuda is for NVIDIA GPUs.
ARG BUILD_FROM=ghcr.io/home-assistant/base-debian:bookworm

# All Python packages in one folder, built in a stage with a compiler, so that the image has none.
FROM ${BUILD_FROM} AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ python3-dev python3-pip python3-venv \
    && rm -rf /var/lib/apt/lists/*
ENV VENV=/opt/wyoming-qwen3
ENV PIP="pip --python ${VENV} install --no-cache-dir"
RUN python3 -m venv --without-pip "${VENV}"

# What changes least comes first, so that its layers stay cached. The list is complete, so --no-deps leaves out what
# qwen-tts requires but is not used here (gradio, torchaudio, sox).
WORKDIR /usr/src/wyoming-qwen3
COPY constraints.txt ./
ARG TORCH_INDEX="--index-url https://download.pytorch.org/whl/cpu"
RUN ${PIP} --no-deps ${TORCH_INDEX} "$(grep '^torch==' constraints.txt)" \
    && find "${VENV}" -path '*/torch/include' -prune -exec rm -r {} + \
    && find "${VENV}" -path '*/torch/test' -prune -exec rm -r {} + \
    && find "${VENV}" -path '*/torch/bin/*' -type f ! -name torch_shm_manager -delete
RUN ${PIP} --no-deps --requirement constraints.txt
COPY pyproject.toml setup.cfg setup.py README.md LICENSE ./
COPY wyoming_qwen3 ./wyoming_qwen3
# The first command compiles the kernels if possible; the second fails if they are missing.
RUN ${PIP} --no-deps . \
    && "${VENV}/bin/python" -P -m wyoming_qwen3.engine.kernels

FROM ${BUILD_FROM}
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# pedalboard is linked against libatomic.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libatomic1 python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10200 --no-create-home --home-dir /tmp qwen3
COPY --from=build /opt/wyoming-qwen3 /opt/wyoming-qwen3
COPY addon/rootfs /

# The app's data is in /data; libraries keep their caches in /tmp.
ENV PATH="/opt/wyoming-qwen3/bin:${PATH}" HOME=/tmp TTS_QWEN3_DATA_DIR=/data
# s6 does not log its own steps, so that the last line of the log is the reason for an exit. The services have their own
# time limits for a stop; remaining processes get a second, so a stop takes less than 10 s.
ENV S6_VERBOSITY=0 S6_KILL_GRACETIME=1000
VOLUME /data
EXPOSE 10200 8880

# Loading a large checkpoint takes a while on a small machine; the port answers long before.
HEALTHCHECK --start-period=10m --interval=1m --timeout=10s CMD ["wyoming-qwen3-healthcheck"]

ARG BUILD_VERSION=dev
ARG BUILD_ARCH
LABEL \
    io.hass.type="app" \
    io.hass.version="${BUILD_VERSION}" \
    io.hass.arch="${BUILD_ARCH}" \
    org.opencontainers.image.title="Qwen3-TTS" \
    org.opencontainers.image.description="Streaming Qwen3-TTS for Home Assistant, over Wyoming and HTTP" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${BUILD_VERSION}"

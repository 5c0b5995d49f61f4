# The image of bids_dtg. Singularity.def makes the same image from the same steps (container/steps).
#
#   docker build -t dtg .                              for the GPU, with the published model
#   docker build -t dtg:cpu --build-arg TORCH=cpu .    smaller, for machines without a GPU
#   docker build -t dtg:none --build-arg TORCH=none .  smallest; maps, statistics and reports on the CPU
#   docker build -t dtg --build-arg MODELS=none .      without a download: maps by hcp-glasser
#
# The image for the GPU also runs on machines without one. PyTorch's wheels include the CUDA
# libraries, so the base needs none.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
# Build of PyTorch: cuda, cpu or none.
ARG TORCH=cuda
# Names of published models to fetch and verify, separated by spaces; "none" fetches none.
ARG MODELS="hcp-ya"
COPY . /src
RUN /src/container/steps/1-python build \
 && /src/container/steps/2-program \
 && /src/container/steps/3-models \
 && /src/container/steps/4-trim

FROM ${BASE}
COPY container/steps/1-python /tmp/1-python
RUN /tmp/1-python && rm /tmp/1-python
COPY --from=build /opt/dtg /opt/dtg
ARG VERSION=unknown
ARG REVISION=unknown
ENV PATH=/opt/dtg/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    LANG=C.UTF-8 \
    MPLBACKEND=Agg \
    MPLCONFIGDIR=/tmp/matplotlib \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    NVIDIA_VISIBLE_DEVICES=all \
    PYTHONNOUSERSITE=1 \
    TEMPLATEFLOW_HOME=/opt/dtg/templateflow \
    TORCH_LOGS=-torch.utils.flop_counter \
    DTG_CONTAINER_TAG=${VERSION} \
    HOME=/home/dtg \
    LOGNAME=dtg \
    NUMBA_CACHE_DIR=/tmp/numba
LABEL org.opencontainers.image.title="bids_dtg" \
      org.opencontainers.image.description="BIDS-App: 47 synthetic task-activation maps from resting-state fMRI" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# The user dtg of container/steps/1-python, as a number, which shows Kubernetes that it is not root.
USER 10000
WORKDIR /tmp
ENTRYPOINT ["/opt/dtg/entrypoint"]

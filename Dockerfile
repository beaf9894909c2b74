# raven with one plugin, for CPU or GPU; docs/installation.md says how to build and run it.
# PyTorch and TensorFlow bring their own CUDA libraries, so that BASE needs Python 3.11 to 3.13 and nothing from NVIDIA.
ARG BASE=python:3.12-slim
FROM ${BASE} AS build
ARG PLUGIN=unet
ARG DEVICE=cpu
ARG EXTRAS=serve,dashboard,engines,resources
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY . /src
WORKDIR /src
RUN python3 -m venv /opt/ravenml \
    && if [ "$DEVICE" = gpu ]; then set -- -r "plugins/ravenml_$PLUGIN/requirements-gpu.txt"; else \
        set -- ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} -r "plugins/ravenml_$PLUGIN/requirements.txt"; fi \
    && /opt/ravenml/bin/pip install --no-cache-dir -c plugins/constraints.txt "$@" ".[$EXTRAS]" \
    && /opt/ravenml/bin/pip install --no-cache-dir --no-deps "plugins/ravenml_$PLUGIN"

FROM ${BASE}
COPY --from=build /opt/ravenml /opt/ravenml
# any user may run it, with a home that is mounted at /data
RUN mkdir /data /home/raven && chmod 1777 /data /home/raven
ENV PATH=/opt/ravenml/bin:$PATH HOME=/home/raven RAVENML_STORAGE_PATH=/data PYTHONUNBUFFERED=1 \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /work
ENTRYPOINT ["raven"]
CMD ["--help"]

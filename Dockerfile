# CPU:  docker build -t wsiseg .
# CUDA: docker build -t wsiseg:cuda --target cuda .
# Run:  docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/data" wsiseg predict slide.svs -o out
#       (with --gpus all for CUDA)
FROM python:3.11-slim-bookworm AS base

# Compiled kernels are cached where any user may write.
ENV NUMBA_CACHE_DIR=/tmp/numba PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN useradd --create-home wsiseg
COPY constraints.txt /opt/wsiseg/

FROM base AS cuda
# torch 2.13 brings its CUDA libraries with it; the host needs only NVIDIA's driver and container toolkit.
RUN pip install --index-url https://download.pytorch.org/whl/cu126 "$(grep '^torch==' /opt/wsiseg/constraints.txt)"
COPY pyproject.toml README.md LICENSE /opt/wsiseg/
COPY wsiseg /opt/wsiseg/wsiseg
RUN pip install -c /opt/wsiseg/constraints.txt '/opt/wsiseg[cloud]'
USER wsiseg
WORKDIR /data
ENTRYPOINT ["wsiseg"]
CMD ["--help"]

# The last stage is what is built when none is named.
FROM base AS cpu
RUN pip install --index-url https://download.pytorch.org/whl/cpu "$(grep '^torch==' /opt/wsiseg/constraints.txt)"
COPY pyproject.toml README.md LICENSE /opt/wsiseg/
COPY wsiseg /opt/wsiseg/wsiseg
RUN pip install -c /opt/wsiseg/constraints.txt '/opt/wsiseg[cloud]'
USER wsiseg
WORKDIR /data
ENTRYPOINT ["wsiseg"]
CMD ["--help"]

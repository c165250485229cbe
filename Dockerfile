# CPU:  docker build -t wsiseg .
# CUDA: docker build -t wsiseg:cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu126 .
# Run:  docker run --rm -v "$PWD:/data" wsiseg predict slide.svs -o out      (add --gpus all for CUDA)
FROM python:3.11-slim-bookworm

# Which builds of PyTorch pip finds first; the CPU builds are ten times smaller.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

COPY constraints.txt /opt/wsiseg/
RUN pip install --no-cache-dir --index-url "$TORCH_INDEX" "$(grep '^torch==' /opt/wsiseg/constraints.txt)"

COPY pyproject.toml README.md LICENSE /opt/wsiseg/
COPY wsiseg /opt/wsiseg/wsiseg
RUN pip install --no-cache-dir -c /opt/wsiseg/constraints.txt /opt/wsiseg

# Compiled kernels are cached where any user may write.
ENV NUMBA_CACHE_DIR=/tmp/numba
RUN useradd --create-home wsiseg
USER wsiseg
WORKDIR /data
ENTRYPOINT ["wsiseg"]
CMD ["--help"]

# Images of benchbeat: `services` (beat, migrations, the command) without torch, `flower`, `worker` with torch.
#
#   docker build --target services -t benchbeat-services .
#
# A package index of your own: --build-arg PIP_INDEX_URL=..., as pip itself reads it. From the plain index Linux gets
# the torch with CUDA, which also runs on a CPU.
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS build
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/benchbeat
ENV PATH=/opt/benchbeat/bin:$PATH
WORKDIR /source
# The packages first: they change less often than the code, and the layer is kept.
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY deploy/requirements.py deploy/
RUN python deploy/requirements.py > requirements.txt && pip install -c constraints.txt -r requirements.txt
COPY bench bench
COPY db db
COPY scheduler scheduler
COPY report report
COPY worker worker
COPY cli cli
COPY migrations migrations

FROM build AS build-services
RUN pip install -c constraints.txt .

FROM build AS build-flower
RUN pip install -c constraints.txt '.[flower]'

FROM build AS build-worker
RUN python deploy/requirements.py worker > requirements.txt && pip install -c constraints.txt -r requirements.txt
RUN pip install -c constraints.txt '.[worker]'

FROM python:${PYTHON}-slim AS base
# Not root, with an id that a host can grant rights to.
RUN useradd --uid 10001 --create-home benchbeat && install -d -o benchbeat -g benchbeat /data
ENV PATH=/opt/benchbeat/bin:$PATH PYTHONUNBUFFERED=1 \
    BENCHBEAT_HOME=/data XDG_CONFIG_HOME=/data/config HF_HOME=/data/huggingface
WORKDIR /data
USER benchbeat

FROM base AS flower
COPY --from=build-flower /opt/benchbeat /opt/benchbeat
CMD ["celery", "flower"]

FROM base AS worker
COPY --from=build-worker /opt/benchbeat /opt/benchbeat
CMD ["benchbeat", "worker"]

# The last stage is the one that `docker build .` makes.
FROM base AS services
COPY --from=build-services /opt/benchbeat /opt/benchbeat
CMD ["benchbeat", "beat"]

# One image for every service; the command says which: python -m services.<name>.

FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/beckon
COPY requirements.lock /tmp/requirements.lock
# Wheels only, each with the hash of the lock file: nothing is compiled and nothing else gets in.
RUN /opt/beckon/bin/pip install --only-binary :all: --require-hashes --requirement /tmp/requirements.lock \
    && /opt/beckon/bin/pip uninstall --yes pip setuptools


FROM python:3.11-slim-bookworm
RUN groupadd --gid 10001 beckon \
    && useradd --uid 10001 --gid beckon --no-create-home --home-dir /app --shell /usr/sbin/nologin beckon
COPY --from=build /opt/beckon /opt/beckon
WORKDIR /app
COPY LICENSE ./
COPY examples examples
COPY shared shared
COPY services services
# Compiled once here, since the root file system may be read-only where it runs.
RUN /opt/beckon/bin/python -m compileall -q shared services
ENV PATH=/opt/beckon/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HTTP_HOST=0.0.0.0 \
    HEALTH_HOST=0.0.0.0 \
    HEALTH_PORT=8081
USER 10001:10001
EXPOSE 8080 8081
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8081/readyz', timeout=2)"]
CMD ["python", "-m", "services.tracker"]

# Three images from one file: `engine` is the program, `demo` the demo upstream, and the last one, which is
# built unless told otherwise, the program with the runbooks of this folder. See docs/deployment.md.

# Nothing of this stage but /opt/runbook is in an image: no compiler, no pip cache, none of the tools for tests.
FROM python:3.11.15-slim-bookworm AS build
WORKDIR /build
# Every file is held against its hash here; below, only these files can be installed.
COPY requirements.lock ./
RUN pip wheel --no-cache-dir --no-deps --require-hashes --requirement requirements.lock --wheel-dir /wheels
COPY pyproject.toml README.md ./
COPY runbook_defs runbook_defs
COPY step_ops step_ops
COPY runbook_factory runbook_factory
COPY runbook_service runbook_service
COPY cli cli
RUN python -m venv --without-pip /opt/runbook \
    && pip --python /opt/runbook/bin/python install --no-cache-dir --no-index --find-links /wheels .

FROM python:3.11.15-slim-bookworm AS engine
# Debian keeps one version of each of these in a release, and takes the one before away: a version written here
# would be an image that cannot be built after the next update of the browser.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends chromium-headless-shell fonts-dejavu-core tini \
    && rm -rf /var/lib/apt/lists/* \
    && fc-cache --force \
    && groupadd --gid 10001 runbook \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin runbook \
    && install --directory --owner runbook --group runbook --mode 0700 \
        /srv/runbook/.runbook /srv/runbook/.runbook/artifacts \
    && install --directory /srv/runbook/runbooks
COPY --from=build /opt/runbook /opt/runbook
ENV PATH=/opt/runbook/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    NO_COLOR=1 \
    RUNBOOK_PROJECT=/srv/runbook
WORKDIR /srv/runbook
# By number: Kubernetes cannot tell of a name whether it is root's.
USER 10001:10001
EXPOSE 8080
# The service; a worker listens nowhere and is watched by its heartbeat in the queue: switch this off for it.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/health/live', timeout=4)"]
# tini takes away what dead browsers leave behind, and hands signals on.
ENTRYPOINT ["tini", "--", "rb"]
CMD ["--help"]

FROM engine AS demo
COPY demo /srv/demo/demo
ENV PYTHONPATH=/srv/demo
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=5s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:3000/health', timeout=4)"]
ENTRYPOINT ["tini", "--", "python", "-m", "demo"]
CMD ["--host", "0.0.0.0", "--port", "3000"]

FROM engine AS project
COPY dagster.yaml workspace.yaml connections.yaml ./
COPY runbooks runbooks
COPY acceptance acceptance

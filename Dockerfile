# The service alone: no torch, no training. Build: docker build -t kembar .    Run: docker compose up
#
# Four layers on the base image, by how often they change: what we depend on, the shipped bundle, our code, and an
# empty /data. `tests/container.sh` builds and tries it where there is no container engine.

FROM python:3.11-slim-bookworm AS dependencies

WORKDIR /build
COPY pyproject.toml constraints/service.txt ./
RUN python -m venv --without-pip /opt/kembar \
 && python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' \
      > requirements.txt \
 && pip --python /opt/kembar install --no-cache-dir --disable-pip-version-check \
      --constraint service.txt --requirement requirements.txt \
 && pip --python /opt/kembar check
# tokenizers asks for the client of a model hub, which Kembar never calls; with all that it alone needs it is 50 MB
# of code with network access. Tests of libraries are 30 MB more.
RUN pip --python /opt/kembar uninstall --yes --quiet --disable-pip-version-check --root-user-action=ignore \
      huggingface_hub hf-xet httpx2 httpcore2 truststore typer rich Pygments markdown-it-py mdurl shellingham \
      fsspec filelock PyYAML \
 && find /opt/kembar -type d -name tests -prune -exec rm -rf {} +

FROM dependencies AS application

COPY . .
# Without its bytecode the read-only image would compile the code anew at every start; pip writes it.
RUN pip --python /opt/kembar install --no-cache-dir --disable-pip-version-check --no-deps --target /opt/app . \
 && rm /opt/app/bin/kembar-train

FROM python:3.11-slim-bookworm

ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="Kembar" \
      org.opencontainers.image.description="Which postings in my catalogue show the same product as this one?" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"

COPY --from=dependencies /opt/kembar /opt/kembar
COPY bundles/demo /bundle
COPY --from=application /opt/app /opt/app
RUN install --directory --owner=10001 --group=10001 /data

# PYTHONPATH instead of one environment: so a change of our code is a layer of one megabyte.
ENV PATH=/opt/app/bin:/opt/kembar/bin:$PATH \
    PYTHONPATH=/opt/app \
    PYTHONDONTWRITEBYTECODE=1 \
    KEMBAR_HOST=0.0.0.0 \
    KEMBAR_PORT=8080 \
    KEMBAR_DATA_DIR=/data \
    KEMBAR_BUNDLE=/bundle

# A number, so that an orchestrator can see that it is not root.
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
# Not urllib, which would ask a proxy of the environment for this very container.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-c", "import http.client, os, sys; service = http.client.HTTPConnection('127.0.0.1', int(os.environ['KEMBAR_PORT']), timeout=4); service.request('GET', '/readyz'); sys.exit(service.getresponse().status != 200)"]
ENTRYPOINT ["kembar"]
CMD ["serve"]

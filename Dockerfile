# Two images: `pipeline` runs the components of the Kubeflow pipelines and submits them, `serving` the predictor and the
# collector.
#
# `make images` builds them, docs/containers.md says what fills them. Packages come from build/wheels and nowhere else,
# so a build needs no network. TORCH is the variant of torch: the label after the + in its version, cpu or cu130. The
# large layers come first, the first three are shared; our own code lies in /app as it does in the repository, so that a
# change of it builds small layers alone. The commit comes after the layers: it stands in what an image trains, and
# builds nothing anew. Where the site's titles go through a student, it is in build/encoder, and ENCODER is /app/encoder:
# so every pod of either image has it. Otherwise both are empty.
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS packages
ENV PATH=/opt/newsrec/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1 HOME=/tmp
RUN python3 -m venv --without-pip /opt/newsrec \
    && groupadd --gid 10001 newsrec \
    && useradd --uid 10001 --gid newsrec --no-create-home --home-dir /tmp --shell /usr/sbin/nologin newsrec
COPY scripts/install-wheels /usr/local/bin/
ARG TORCH=cpu
RUN --mount=type=bind,source=build/wheels,target=/wheels install-wheels core
RUN --mount=type=bind,source=build/wheels,target=/wheels install-wheels stores
WORKDIR /tmp

FROM packages AS pipeline
RUN --mount=type=bind,source=build/wheels,target=/wheels install-wheels lab pipelines
COPY LICENSE requirements.lock /app/
COPY configs /app/configs
COPY newsrec /app/newsrec
COPY feature_repo /app/feature_repo
COPY components /app/components
COPY pipelines /app/pipelines
COPY build/encoder /app/encoder
RUN chmod -R a+rX /app && python3 -m compileall -q /app # as nobody can later: the root is read-only
USER 10001:10001
ARG ENCODER=
ARG COMMIT=unknown
ENV NEWSREC_ENCODER=${ENCODER} NEWSREC_COMMIT=${COMMIT}
LABEL org.opencontainers.image.title="newsrec pipeline" \
      org.opencontainers.image.description="Runs the components of newsrec's Kubeflow pipelines" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.licenses="Apache-2.0"

FROM packages AS serving
RUN --mount=type=bind,source=build/wheels,target=/wheels install-wheels serving
COPY LICENSE /app/
COPY newsrec /app/newsrec
COPY feature_repo /app/feature_repo
COPY serving /app/serving
COPY build/encoder /app/encoder
RUN chmod -R a+rX /app && python3 -m compileall -q /app
USER 10001:10001
EXPOSE 8080 8081 8090
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python3", "-m", "serving.health"]
ENTRYPOINT ["python3", "-m", "serving"]
ARG ENCODER=
ARG COMMIT=unknown
ENV NEWSREC_ENCODER=${ENCODER} NEWSREC_COMMIT=${COMMIT}
LABEL org.opencontainers.image.title="newsrec serving" \
      org.opencontainers.image.description="newsrec's predictor (KServe) and collector" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.licenses="Apache-2.0"

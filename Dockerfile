# choreo with all its extras and the examples; `docker compose` runs one service per container.

FROM python:3.12.12-slim-bookworm AS build
RUN python -m venv /venv
WORKDIR /build
COPY requirements/run.txt requirements/run.txt
RUN /venv/bin/pip install --no-cache-dir --requirement requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY choreo choreo
COPY brokers brokers
RUN /venv/bin/pip install --no-cache-dir --no-deps .

FROM python:3.12.12-slim-bookworm
RUN useradd --system --no-create-home choreo
COPY --from=build /venv /venv
WORKDIR /app
COPY docker/connected.py docker/connected.py
COPY schemas schemas
COPY examples examples
ENV PATH=/venv/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1
USER choreo
# SIGTERM reaches choreo itself, which then drains.
ENTRYPOINT ["choreo"]

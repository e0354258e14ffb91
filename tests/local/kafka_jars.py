"""Apache Kafka as jars from Maven Central, fetched once into the user's cache."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.local.cache import cache, lock
from tests.local.process import AbsentError, StartError

KAFKA_VERSION = "4.1.0"
FETCH_BUDGET = 600.0

_POM = f"""\
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>choreo</groupId><artifactId>kafka-jars</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>2.24.3</version>
    </dependency>
  </dependencies>
</project>
"""


def kafka_jars() -> Path:
    """Return the folder of jars; fetch it when it is not cached, which takes a minute."""
    if shutil.which("java") is None:
        raise AbsentError("no Kafka: no 'java' on the PATH (Debian: default-jre-headless)")
    home = cache() / f"kafka-{KAFKA_VERSION}"
    if home.is_dir():
        return home
    if shutil.which("mvn") is None:
        raise AbsentError("no Kafka: no 'mvn' on the PATH to fetch its jars (Debian: maven)")
    with lock(home.parent / f"{home.name}.lock"):
        if not home.is_dir():
            _fetch(home)
    return home


def _fetch(home: Path) -> None:
    with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
        pom = Path(scratch, "pom.xml")
        pom.write_text(_POM)
        done = subprocess.run(
            [
                *("mvn", "--batch-mode", "--quiet", "--file", str(pom)),
                f"-Dmaven.repo.local={home.parent / 'maven'}",
                f"-DoutputDirectory={scratch}/jars",
                "-DincludeScope=runtime",
                "dependency:copy-dependencies",
            ],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=FETCH_BUDGET,
        )
        if done.returncode != 0:
            raise StartError(f"Maven could not fetch Kafka {KAFKA_VERSION}:\n{done.stdout[-2000:]}")
        Path(scratch, "jars").rename(home)

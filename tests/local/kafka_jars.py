"""Apache Kafka as jars from Maven Central, fetched once into the user's cache."""

from pathlib import Path

from tests.local.maven import fetched

KAFKA_VERSION = "4.1.0"

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
    arguments = ("-DincludeScope=runtime", "dependency:copy-dependencies")
    return fetched("Kafka", f"kafka-{KAFKA_VERSION}", arguments, _POM)

"""The listeners a secured Kafka opens beside its plain one, and who may enter."""

from collections.abc import Mapping
from pathlib import Path

from tests.local.certificates import Authority

USER = "alice"
PASSWORD = "alice-secret"
SECURED_LISTENERS = ("SSL", "SASL_PLAINTEXT", "SASL_SSL")
SASL_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")

_MODULES = "org.apache.kafka.common.security"
_LOGIN = {
    "plain": f'{_MODULES}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";',
    "scram-sha-256": f"{_MODULES}.scram.ScramLoginModule required;",
    "scram-sha-512": f"{_MODULES}.scram.ScramLoginModule required;",
    # Believes unsigned tokens: what is tested is the client's side of the exchange.
    "oauthbearer": (
        f"{_MODULES}.oauthbearer.OAuthBearerLoginModule required"
        ' unsecuredLoginStringClaim_sub="broker";'
    ),
}


class KafkaSecurity:
    """Certificates and server properties for TLS, SASL and access rules.

    Everybody may do everything until a rule says otherwise, and the plain listener's anonymous
    user always may, so that a test can deny one topic to USER and lift that again.
    """

    def __init__(self, folder: Path) -> None:
        self._authority = Authority(folder)
        self._server = self._authority.sign("server")
        self.authority = self._authority.certificate
        self.client = self._authority.sign("client")

    def properties(self) -> Mapping[str, str]:
        login = {
            f"listener.name.{listener.lower()}.{mechanism}.sasl.jaas.config": module
            for listener in SECURED_LISTENERS
            if listener.startswith("SASL")
            for mechanism, module in _LOGIN.items()
        }
        return {
            **login,
            "sasl.enabled.mechanisms": ",".join(SASL_MECHANISMS),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self._server.both),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority),
            "ssl.client.auth": "requested",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "true",
            "super.users": "User:ANONYMOUS",
        }

    def format_arguments(self) -> list[str]:
        """Return what the storage is formatted with so that USER exists for SCRAM."""
        return [
            argument
            for mechanism in SASL_MECHANISMS
            if mechanism.startswith("SCRAM")
            for argument in ("--add-scram", f"{mechanism}=[name={USER},password={PASSWORD}]")
        ]

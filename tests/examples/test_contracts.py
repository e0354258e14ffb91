"""The example's classes, contracts and samples go together: what every service can add."""

from collections.abc import Callable

import pytest

from choreo import Service
from examples.order_fulfilment.services import inventory, notification, order, payment, shipping

SERVICES = (inventory, notification, order, payment, shipping)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_contracts(service: Service, for_each_contract_sample: Callable[..., None]) -> None:
    for_each_contract_sample(service, examples=10)

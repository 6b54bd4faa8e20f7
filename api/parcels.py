"""What goods that travel need to be told with, whichever way they go."""

from __future__ import annotations

from api.schemas.sales import ShipmentNote
from api.services import Services
from domain.errors import InvalidInput
from domain.sale import Delivery


def require_parcel(services: Services, body: ShipmentNote, delivery: Delivery) -> None:
    """Raises InvalidInput unless carrier and tracking number are given for express, and neither for pickup."""
    carriers = sorted(services.settings.carrier_webhook_secrets)
    if delivery is Delivery.PICKUP:
        if body.carrier or body.tracking_number:
            raise InvalidInput(
                "pieces that are picked up have no carrier", field="carrier", accepted="nothing"
            )
        return
    if body.carrier not in carriers:
        raise InvalidInput(
            "express delivery needs a carrier that reports to us",
            field="carrier",
            accepted=", ".join(carriers) or "nothing yet: no carrier is configured",
        )
    if body.tracking_number is None:
        raise InvalidInput(
            "express delivery needs a tracking number",
            field="tracking_number",
            accepted="4 to 64 letters, digits and hyphens",
        )

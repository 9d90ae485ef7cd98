"""Registration of public data resources 公共数据资源登记: acceptance, formal review, public notice, code."""

from licensing.registration.lifecycle import REGISTRATION, RegistrationEvent, RegistrationState

__all__ = ["REGISTRATION", "RegistrationEvent", "RegistrationState"]

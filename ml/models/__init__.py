"""The models: one light declaration a file, joined in the registry."""

from ml.models.registry import MODELS, Registry, UnknownModelError, default_registry
from ml.models.spec import Decision, Gate, ModelSpec, Picture, Query

__all__ = [
    "MODELS",
    "Decision",
    "Gate",
    "ModelSpec",
    "Picture",
    "Query",
    "Registry",
    "UnknownModelError",
    "default_registry",
]

"""A network's weights in a file of a task: ``model/`` to read from, ``results/`` to write to."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ravenml.utils.plugins import lazy_import

torch = lazy_import("torch", "pip install torch")


class WeightsRW:
    """Reads and writes the weights of a ``torch.nn.Module`` as a state dict.

    Args:
        model_dir: the folder.
        model_file: the file's name in it.
    """

    def __init__(self, model_dir: str, model_file: str | None = None) -> None:
        self._path = os.path.join(model_dir, model_file or "model.pt")

    def save(self, model: Any) -> None:
        """Write the network's weights."""
        torch.save(model.state_dict(), self._path)

    def load_strictly(self, model: Any) -> Any:
        """Give the network the file's weights, which must be its own, name by name; the network.

        Raises:
            KeyError: the file has others, or lacks some.
            RuntimeError: one has another shape.
        """
        there, wanted = self._read(), model.state_dict()
        for names, what in (
            (there.keys() - wanted.keys(), "has weights that the network does not have"),
            (wanted.keys() - there.keys(), "lacks weights that the network has"),
        ):
            if names:
                raise KeyError(f"{self._path} {what}: {', '.join(sorted(names))}")
        return self._copy_weights(there, model)

    def load_for_transfer_learning(
        self, model: Any, ignore_matching_layers: Sequence[str] | None = None, logger: Any = None
    ) -> Any:
        """Give the network those of the file's weights whose names it has; the network.

        Args:
            model: the network.
            ignore_matching_layers: weights in whose names one of these occurs begin anew, such as a head's.
            logger: is told which ones those are.

        Raises:
            RuntimeError: one that is not ignored has another shape.
        """
        there = self._read()
        anew = {name for name in there for part in ignore_matching_layers or () if part in name}
        if anew and logger is not None:
            logger.info("Layers that begin anew.", extra={"layer_names": sorted(anew)})
        return self._copy_weights({name: there[name] for name in there.keys() - anew}, model)

    def _read(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = torch.load(self._path, map_location="cpu")
        return found

    def _copy_weights(self, weights: Mapping[str, Any], model: Any) -> Any:
        target = model.state_dict()
        with torch.no_grad():
            for name in sorted(weights.keys() & target.keys()):
                here, given = target[name], weights[name]
                if here.shape != given.shape:
                    raise RuntimeError(
                        f"{name} has the shape {tuple(given.shape)} in {self._path}, and "
                        f"{tuple(here.shape)} in the network."
                    )
                here.copy_(given)
        return model

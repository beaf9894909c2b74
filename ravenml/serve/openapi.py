"""What ``/openapi.json`` says about ``/predict``, which reads its request itself."""

from __future__ import annotations

from ravenml.common.io import JsonObject


def _parameter(name: str, schema: JsonObject, description: str) -> JsonObject:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}


_ERROR = {"type": "object", "properties": {"detail": {"type": "string"}}}


def _failure(description: str) -> JsonObject:
    return {"description": description, "content": {"application/json": {"schema": _ERROR}}}


_BINARY = {"type": "string", "format": "binary"}
_IMAGE = {"schema": _BINARY}
PREDICT: JsonObject = {
    "parameters": [
        _parameter(
            "answer",
            {"type": "string", "enum": ["annotation", "mask", "overlay"], "default": "annotation"},
            "Supervisely's annotation (JSON); a mask (PNG: a number for each pixel, 0 for nothing, else the "
            "class's number in /model); or the image with the results overlaid (PNG).",
        ),
        _parameter(
            "mode",
            {"type": "string"},
            "Inference mode: its name (full_image, roi, bboxes, sliding_window, "
            "sliding_window_det), or an object with the mode's fields, as raven infer --config takes it.",
        ),
        _parameter("window", {"type": "string"}, "The sliding window's size: 256, or 320x240."),
        _parameter("overlap", {"type": "string"}, "Overlap of the windows: 32, or 40x30."),
        _parameter(
            "classes",
            {"type": "array", "items": {"type": "string"}},
            "Only these classes; repeat it for several.",
        ),
        _parameter(
            "threshold",
            {"type": "number", "minimum": 0, "maximum": 1},
            "Confidence threshold: boxes by their score, areas pixel by pixel.",
        ),
        _parameter(
            "url",
            {"type": "array", "items": {"type": "string"}},
            "An image that the server fetches, below an address of --allow-url; repeat it for several.",
        ),
        _parameter(
            "path",
            {"type": "array", "items": {"type": "string"}},
            "An image on the server, below a folder of --root; repeat it for several.",
        ),
    ],
    "requestBody": {
        "required": False,
        "description": "The image; or a form with one or more images, whose fields may hold the parameters "
        "too; annotation is what is known about an image, for the mode bboxes.",
        "content": {
            "image/png": _IMAGE,
            "image/jpeg": _IMAGE,
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "image": {"type": "array", "items": _BINARY},
                        "annotation": {"type": "array", "items": _BINARY},
                    },
                }
            },
        },
    },
    "responses": {
        "200": {
            "description": "The answer; of several images a list of annotations, or a ZIP file of pictures.",
            "content": {
                "application/json": {"schema": {"type": "object"}},
                "image/png": _IMAGE,
                "application/zip": _IMAGE,
            },
        },
        "400": _failure("The request is invalid; the message says why."),
        "401": _failure("The token is missing or wrong."),
        "403": _failure("Cross-site request, unknown host name, or address not allowed."),
        "413": _failure("Too many bytes, pixels or images."),
        "415": _failure("Not an image in a supported format."),
        "502": _failure("The image could not be fetched."),
        "503": _failure("The queue is full; the header Retry-After says when to try again."),
        "504": _failure("Timeout."),
    },
}

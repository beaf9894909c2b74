"""``raven infer``: a model over all images of a project, a folder, or one image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ravenml.common.io import JsonObject
from ravenml.data.editable_annotation import EditableAnnotation
from ravenml.data.images import more_pages_notice
from ravenml.data.progress import ImageProgress
from ravenml.data.writing import extended_meta
from ravenml.errors import InputError, RavenError
from ravenml.infer.engines.compare import spread_over
from ravenml.infer.engines.predictor import GraphPredictor
from ravenml.infer.inputs import InputImage, Inputs
from ravenml.infer.model_resolver import ModelSource
from ravenml.infer.modes.base import Mode
from ravenml.infer.modes.catalog import make_mode
from ravenml.infer.modes.interface import ModeResult
from ravenml.infer.network_factory import ImagesFor, load_network
from ravenml.infer.output import PROBABILITIES, Output
from ravenml.infer.predictor import find_maker
from ravenml.infer.settings import InferenceRequest, check_project, effective_mode

Read = tuple[NDArray[np.uint8], EditableAnnotation]
# Images from which on engines are measured.  Measuring takes as long as the framework takes for 110 to 160
# images.  On a processor without bfloat16, where OpenVINO was 1.65 times as fast (UNet) and 1.4 times
# (LinkNet34), it paid at 275 and 545 images; whatever is predicted later with that model gains from it too.
_WHOLE, _WINDOWED = 256, 32
_AT_ONCE = 2**22  # pixels of whole images that go through a network together; more would need much memory


@dataclass
class InferenceJob:
    """What is to be done.

    Attributes:
        source: the model.
        inputs: the images.
        output: where the results go.
        request: the config.
        replace: whether the objects that were there are dropped.
        device: as ``load`` takes it.
        batch_size: how many images at once; by default the device decides.
        overwrite: whether results of other settings are replaced.
        trust_code: whether the model may name code that is not part of a plugin.
        engine: what computes the network: ``auto``, ``torch``, ``onnxruntime`` or ``openvino``.
        precision: what the engine computes in: ``auto``, ``32``, ``bf16`` or ``int8``.
        tell: is given a line about the engine, where one is chosen now.
    """

    source: ModelSource
    inputs: Inputs
    output: Output
    request: InferenceRequest
    replace: bool = False
    device: str = "auto"
    batch_size: int | None = None
    overwrite: bool = False
    trust_code: bool = False
    engine: str = "auto"
    precision: str = "auto"
    tell: Callable[[str], None] = lambda line: None


@dataclass
class JobReport:
    """What became of it.

    Attributes:
        made: how many images got results.
        kept: how many had them already.
        broken: for each image that could not be used, why.
        took: how long it took and how fast it went, in words.
    """

    made: int = 0
    kept: int = 0
    broken: list[str] = field(default_factory=list)
    took: str = ""


def run_job(job: InferenceJob, meter: Callable[[int], ImageProgress] = ImageProgress) -> JobReport:
    """Annotate what is not annotated yet.

    An image that is broken, or that the model fails on, is reported and skipped.

    Raises:
        InputError: config, model and images do not fit together, or the output is in use.
        RavenError: the model cannot be loaded, or results cannot be written.
    """
    _check_apart(job.inputs.path, job.output.root)
    fingerprint = _fingerprint(job)
    job.output.begin(fingerprint, job.overwrite)
    if job.request.mode.get("save_probabilities") and PROBABILITIES not in job.output.saved:
        job.output.saved = (*job.output.saved, PROBABILITIES)  # before it is asked what is done
    todo = [one for one in job.inputs.pictures if job.overwrite or not job.output.is_done(one)]
    done = JobReport(kept=len(job.inputs.pictures) - len(todo))
    mode = _prepare(job, fingerprint, todo) if todo else None
    with meter(len(todo)) as shown:
        for fault in job.inputs.faults:
            _report(done, shown, str(fault))
        if mode is not None:
            _annotate(job, mode, todo, done, shown)
        if job.inputs.more_pages:
            shown.line(f"Note: {more_pages_notice(job.inputs.more_pages)}")
        done.took = shown.summary()
    return done


def _prepare(job: InferenceJob, fingerprint: JsonObject, todo: Sequence[InputImage]) -> Mode:
    """Load the model, and describe the output."""
    plugin = find_maker(job.source.paths[0])
    network = load_network(
        job.source,
        plugin,
        job.request,
        job.device,
        job.batch_size,
        job.trust_code,
        job.engine,
        job.precision,
        _images_to_measure(job, todo),
        job.tell,
    )
    config = effective_mode(job.request, network.predictor, f"_{plugin.name}")
    mode = make_mode(config, network, job.inputs.classes)
    check_project(config, mode, [one.title for one in job.inputs.classes], job.request.where)
    replaced = [one.title for one in job.inputs.classes] if job.replace else []
    try:
        meta = extended_meta(job.inputs.meta, mode.classes, mode.tags, replaced)
    except InputError as error:
        raise InputError(f"{error} (--suffix, or `mode.model_classes.add_suffix`)") from None
    if job.overwrite:
        job.output.forget(job.inputs.pictures)
    engine = network.predictor.engine if isinstance(network.predictor, GraphPredictor) else "torch"
    job.output.describe(fingerprint, config.model_dump(), mode.classes, meta, engine)
    return mode


def _images_to_measure(job: InferenceJob, todo: Sequence[InputImage]) -> ImagesFor | None:
    """Some of the images for ``--engine auto``; none where measuring takes longer than it could save."""
    if len(todo) < (_WINDOWED if "window" in job.request.mode else _WHOLE):
        return None
    chosen = spread_over("your images", [one.image_path for one in todo])
    return lambda model: chosen


def _annotate(
    job: InferenceJob, mode: Mode, todo: Sequence[InputImage], done: JobReport, shown: ImageProgress
) -> None:
    """Read ahead in one thread, run the network in this one, write in a third."""
    with ThreadPoolExecutor(1, "read") as reader, ThreadPoolExecutor(1, "write") as writer:
        pending: Future[None] | None = None
        try:
            for batch in _batches(job, mode, reader, todo, done, shown):
                outcomes = _predict(mode, batch, done, shown)
                if pending is not None:
                    pending.result()  # one batch is written while the next is predicted, and no more are held
                pending = writer.submit(_write, job, outcomes)
                for _ in outcomes:
                    done.made += 1
                    shown.advance()
            if pending is not None:
                pending.result()
        except BaseException:
            reader.shutdown(wait=False, cancel_futures=True)
            raise


def _batches(
    job: InferenceJob,
    mode: Mode,
    reader: ThreadPoolExecutor,
    todo: Sequence[InputImage],
    done: JobReport,
    shown: ImageProgress,
) -> Iterator[list[tuple[InputImage, Read]]]:
    """The images that can be read; several at once only where the mode runs the network on whole images."""
    size = mode.network.batch_size if mode.config.name == "full_image" else 1
    batch: list[tuple[InputImage, Read]] = []
    waiting = [(todo[0], reader.submit(job.inputs.read, todo[0]))]
    for index, picture in enumerate(todo):
        future = waiting.pop(0)[1]
        if index + 1 < len(todo):
            waiting.append((todo[index + 1], reader.submit(job.inputs.read, todo[index + 1])))
        try:
            batch.append((picture, future.result()))
        except RavenError as fault:
            _report(done, shown, str(fault))
            shown.advance()
        if len(batch) == size or sum(read[0].shape[0] * read[0].shape[1] for _, read in batch) > _AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _predict(
    mode: Mode, batch: list[tuple[InputImage, Read]], done: JobReport, shown: ImageProgress
) -> list[tuple[InputImage, Read, ModeResult]]:
    try:
        results = mode.annotate_all([read[0] for _, read in batch], [read[1] for _, read in batch])
        return [(picture, read, one) for (picture, read), one in zip(batch, results, strict=True)]
    except Exception as error:
        if len(batch) > 1:  # find out whose fault it is
            return [one for single in batch for one in _predict(mode, [single], done, shown)]
        reason = str(error) if isinstance(error, RavenError) else f"{type(error).__name__}: {error}"
        path = batch[0][0].image_path
        _report(done, shown, reason if str(path) in reason else f"{path}: {reason}")
        shown.advance()
        return []


def _write(job: InferenceJob, outcomes: list[tuple[InputImage, Read, ModeResult]]) -> None:
    for picture, (image, _), outcome in outcomes:
        document = outcome.document.with_labels(outcome.added) if job.replace else outcome.document
        job.output.write(picture, image, document, outcome)


def _report(done: JobReport, shown: ImageProgress, reason: str) -> None:
    done.broken.append(reason)
    shown.line(f"Passed over: {reason}")


def _fingerprint(job: InferenceJob) -> JsonObject:
    """What decides the results, in words that a later call can compare."""
    asked = (job.engine, job.precision)
    return {
        "data": str(job.inputs.path),
        "model": job.source.fingerprint(),
        "config": {"model": dict(job.request.model), "mode": dict(job.request.mode)},
        "replace": job.replace,
        "save": sorted(job.output.saved),
        "link": job.output.link,
        **({} if asked == ("auto", "auto") else {"engine": list(asked)}),
    }


def _check_apart(data: Path, out: Path) -> None:
    one, other = data.resolve(), out.resolve()
    if one == other or one in other.parents or other in one.parents:
        raise InputError(
            f"--out {out} and --data {data} lie within each other; name another folder for --out."
        )

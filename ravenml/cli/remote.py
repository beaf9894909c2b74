"""``raven remote``: queues on Ray clusters, and the runs that were sent there."""

from __future__ import annotations

import click

from ravenml.cli.options import former_name


@click.group()
def remote() -> None:
    """Manage Ray queues and the runs submitted to them.

    \b
    raven remote queues                                   list the queues
    raven train --remote QUEUE --dataset NAME unet train  train on one
    raven run --remote QUEUE -- python train.py           run any program on one
    raven runs logs -f ID                                 follow a run
    raven remote pull ID                                  first, if another machine submitted it
    """


@remote.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def queues(as_json: bool) -> None:
    """List the queues: `local`, and those in the configuration."""
    from ravenml.remote.client.queues import queues as known

    found = known()
    if as_json:
        import json

        click.echo(json.dumps({name: queue.settings.model_dump() for name, queue in found.items()}, indent=2))
        return
    for name, queue in found.items():
        where = "this machine" if queue.is_local else queue.settings.address
        resources = ", ".join(f"{amount:g} {what}" for what, amount in queue.settings.resources.items())
        click.echo(
            "\t".join([name, where, resources, *([queue.settings.image] if queue.settings.image else [])])
        )


@remote.command()
@click.argument("queue")
def check(queue: str) -> None:
    """Check that a queue's cluster answers, has the resources and Python version, and reaches the store."""
    from ravenml.remote.client.check import check_queue

    for line in check_queue(queue):
        click.echo(line)


@remote.command()
@click.argument("run", metavar="ID")
def pull(run: str) -> None:
    """Pull a run that another machine submitted; `raven runs` then shows and follows it here, too."""
    from ravenml.remote.client.foreign_runs import fetch_run
    from ravenml.remote.client.sync import refresh
    from ravenml.runs.layout import find_run

    run_id = fetch_run(run)
    ended = refresh(find_run(run_id))
    click.echo(f"Pulled:    {run_id}")
    if not ended:
        click.echo(f"Follow it: raven runs logs -f {run_id}")


remote.add_command(former_name(pull, "bring"))


@remote.command()
@click.option("--once", is_flag=True, help="Check once and exit.")
def watch(once: bool) -> None:
    """Supervise the runs of all queues, whichever machine submitted them, until all have ended.

    A run whose cluster is gone is submitted again, as `raven runs` does for runs submitted from this machine.
    """
    import time

    from ravenml.remote.client.foreign_runs import ForeignRuns
    from ravenml.remote.client.sync import refresh_all

    shown: set[str] = set()

    def say(line: str) -> None:
        if line not in shown:  # a queue that does not answer is not news the second time
            shown.add(line)
            click.echo(line)

    foreign = ForeignRuns()
    while (left := refresh_all(say) + foreign.check_all(say)) and not once:
        time.sleep(5)
    if left:
        click.echo(f"{left} runs have not ended.")


@remote.command()
def stop_local() -> None:
    """Stop the Ray cluster of the queue `local`, even if it is busy; when idle, it stops by itself."""
    from ravenml.remote.client.local_ray import stop

    click.echo("Stopped." if stop() else "It is not running.")

"""``raven remote``: queues on Ray clusters, and the runs that were sent there."""

from __future__ import annotations

import click


@click.group()
def remote() -> None:
    """Run on a Ray cluster: queues, their check, and watching over what was sent.

    \b
    raven remote queues                                   which queues there are
    raven train --remote QUEUE --dataset NAME unet train  train there
    raven run --remote QUEUE -- python train.py           run any program there
    raven runs logs -f ID                                 follow it
    raven remote bring ID                                 first, where it was sent from another machine
    """


@remote.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def queues(as_json: bool) -> None:
    """List the queues: `local`, and those of the configuration."""
    from ravenml.remote.client.queues import queues as known

    found = known()
    if as_json:
        import json

        click.echo(json.dumps({name: queue.settings.model_dump() for name, queue in found.items()}, indent=2))
        return
    for name, queue in found.items():
        where = "this machine" if queue.is_local else queue.settings.address
        asked = ", ".join(f"{amount:g} {what}" for what, amount in queue.settings.resources.items())
        click.echo("\t".join([name, where, asked, *([queue.settings.image] if queue.settings.image else [])]))


@remote.command()
@click.argument("queue")
def check(queue: str) -> None:
    """Say whether a queue's cluster answers, has the resources and Python, and reaches the store."""
    from ravenml.remote.client.check import check_queue

    for line in check_queue(queue):
        click.echo(line)


@remote.command()
@click.argument("run")
def bring(run: str) -> None:
    """Bring the run RUN, which another machine has sent; `raven runs` then shows and follows it here, too."""
    from ravenml.remote.client.foreign_runs import bring_run
    from ravenml.remote.client.sync import refresh
    from ravenml.runs.layout import find_run

    run_id = bring_run(run)
    ended = refresh(find_run(run_id))
    click.echo(f"Brought:   {run_id}")
    if not ended:
        click.echo(f"Follow it: raven runs logs -f {run_id}")


@remote.command()
@click.option("--once", is_flag=True, help="Look once, and end.")
def watch(once: bool) -> None:
    """Watch over the runs in the queues' stores, whichever machine sent them, until all have ended.

    A run whose cluster is gone is sent again, as `raven runs` does for those that were sent from here.
    """
    import time

    from ravenml.remote.client.foreign_runs import Others
    from ravenml.remote.client.sync import refresh_all

    said: set[str] = set()

    def say(line: str) -> None:
        if line not in said:  # a queue that does not answer is no news the second time
            said.add(line)
            click.echo(line)

    others = Others()
    while (left := refresh_all(say) + others.look_after(say)) and not once:
        time.sleep(5)
    if left:
        click.echo(f"{left} runs have not ended.")


@remote.command()
def stop_local() -> None:
    """Stop the Ray of the queue `local`, whatever it does; it stops by itself when it has been idle."""
    from ravenml.remote.client.local_ray import stop

    click.echo("Stopped." if stop() else "It does not run.")

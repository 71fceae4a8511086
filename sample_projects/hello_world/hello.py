"""Greet someone, and log the greeting to the MLflow run that the entry point runs under."""

from __future__ import annotations

import click
import mlflow


@click.command()
@click.option("--name", default="world", help="Whom to greet")
@click.option("--times", type=click.IntRange(min=1), default=1, help="How often")
def hello(name: str, times: int) -> None:
    """Greet someone."""
    with mlflow.start_run():
        greeting = f"Hello, {name}!\n" * times
        click.echo(greeting, nl=False)
        mlflow.log_metric("greetings", times)
        mlflow.log_text(greeting, "greeting.txt")


if __name__ == "__main__":
    hello()

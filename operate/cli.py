"""The commands, put together; what each of them needs is imported when it runs."""

from __future__ import annotations

import sys
from typing import Any

import click

from describer.errors import DescriberError
from operate.backfill import backfill
from operate.doctor import doctor
from operate.eval import evaluate
from operate.export import export
from operate.output import plain, plain_line
from operate.reconcile import reconcile
from operate.redescribe import redescribe
from operate.show import show
from operate.stats import stats
from operate.watch import watch

# Whose errors are told in one line; anything else is a defect of ours, and keeps its traceback.
_FOREIGN = frozenset({"google", "grpc", "httpx2", "requests", "urllib3"})


class _Group(click.Group):
    def list_commands(self, _: click.Context) -> list[str]:
        """List them in the order in which they are wanted, not by the alphabet."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what the services answer badly is one line and exit status 1."""
        try:
            status = super().invoke(ctx)
        except click.exceptions.Exit:
            raise
        except (DescriberError, OSError) as exc:
            raise click.ClickException(plain(str(exc))) from exc
        except Exception as exc:
            if type(exc).__module__.partition(".")[0] not in _FOREIGN:
                raise
            # google-auth gives some errors two arguments, of which the first is the sentence.
            sentence = str(exc.args[0] if exc.args else exc)
            raise click.ClickException(plain_line(f"{type(exc).__name__}: {sentence}")) from exc
        ctx.exit(status)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
def describer() -> None:
    """Look after the descriptions of the pictures in a bucket.

    Settings are the function's own (docs/settings.md): from the environment, or from --env-file,
    which also takes what `gcloud functions describe NAME --format=json` prints.
    FIRESTORE_EMULATOR_HOST and STORAGE_EMULATOR_HOST are honoured.

    \b
    Exit status: 0 all is well; 1 something was found, failed or was refused;
    2 wrong usage; 3 nothing was found, but not all could be looked at;
    130 stopped by Ctrl-C.
    """  # noqa: D301 - click's own mark, a backspace, not a backslash


for command in (show, watch, export, stats, backfill, redescribe, reconcile, doctor, evaluate):
    describer.add_command(command)


def main() -> int:
    """Run; give the exit status."""
    try:
        result = describer.main(standalone_mode=False)
    except click.Abort:
        click.echo("Stopped.", err=True)
        return 130
    except click.ClickException as exc:
        exc.show()
        return exc.exit_code
    except BrokenPipeError:
        # `| head` has seen enough.
        sys.stderr.close()
        return 1
    return int(result or 0)

"""The command `sports-bulk`: classify a folder, bucket, list or table of images, on Ray.

    sports-bulk IN OUT [--column NAME] [--precision auto|int8|bf16|fp32] [--model FOLDER]
                       [--workers N] [--rows-per-file N] [--address RAY] [--cost-per-hour COST]

IN is a folder with images or tables below it, a list of URLs or paths (.txt), or a table (.csv,
.jsonl, .parquet) with a column of URLs, of paths or, in Parquet, of bytes. It is a local path, or
begins with s3:// or gs://. OUT gets predictions/*.parquet, errors.parquet, summary.txt and
report.html. A command that was stopped in any way goes on when it is started again.

The exit code is 0 when the job is done, whatever the images were; 2 for a wrong command line or
input; 3 when Ray gave up, or nothing happened for half an hour.
"""

import argparse
import sys
from pathlib import Path

from ray.data.exceptions import ExecutionTimeoutError
from ray.exceptions import RayError

from gateway.config import Settings
from model_server import precision
from sports_bulk import cluster, job
from sports_bulk.plan import Plan, make_plan
from sports_bulk.progress import Progress, duration
from sports_bulk.report import write_report
from sports_bulk.tables import InvalidInput

MODELS = Path(__file__).resolve().parents[2] / "model/sport-classification-model"
ROWS_PER_FILE = 64
WRONG_INPUT, FAILED, INTERRUPTED = 2, 3, 130


def main(arguments: list[str] | None = None) -> None:
    options = _parse_arguments(arguments)
    try:
        settings = Settings.from_env()
        folder = _newest_version(options.model)
        chosen = precision.choose(options.precision, folder)
        plan = make_plan(
            options.input,
            options.column,
            options.output,
            options.rows_per_file,
            str(folder),
            chosen,
        )
        _classify(plan, settings, options)
    except (InvalidInput, OSError, ValueError) as error:
        print(f"sports-bulk: {error}", file=sys.stderr)
        sys.exit(WRONG_INPUT)
    except (RayError, ExecutionTimeoutError) as error:  # the second: nothing happened for long
        print(f"sports-bulk: {error}\nStart it again to go on.", file=sys.stderr)
        sys.exit(FAILED)
    except KeyboardInterrupt:
        print("sports-bulk: interrupted; start it again to go on", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _classify(plan: Plan, settings: Settings, options: argparse.Namespace) -> None:
    """Do what is missing, and report on the whole."""
    missing = plan.rows_of(plan.missing())
    progress = Progress(plan.rows, plan.rows - missing, options.cost_per_hour)
    print(f"{plan.rows:,} images, {missing:,} to do, in {plan.precision}", file=sys.stderr)
    if missing:
        cluster.connect(options.address)
        workers = options.workers or cluster.processors()
        for part in job.run(plan, workers, settings):
            progress.add(plan.rows_of([part]))
    run = f"This run did {missing:,} images in {duration(progress.seconds())}"
    if options.cost_per_hour:
        run += f", which cost {options.cost_per_hour * progress.seconds() / 3600:.2f}"
    findings = write_report(plan, settings, f"{run}.")
    print(f"{findings.summary()}\n{run}.\nReport: {plan.output}/report.html")


def _newest_version(models: Path) -> Path:
    """The folder of the newest version of a model, or `models` if it is one."""
    if models.name.isdecimal():
        return models.absolute()
    versions = [each for each in models.iterdir() if each.name.isdecimal()]
    if not versions:
        raise InvalidInput(f"{models} contains no version of a model")
    return max(versions, key=lambda each: int(each.name)).absolute()


def _parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="sports-bulk", description="Classify a folder, bucket, list or table of images."
    )
    parser.add_argument("input", metavar="IN", help="folder, list or table; local, s3:// or gs://")
    parser.add_argument("output", metavar="OUT", help="folder; local, s3:// or gs://")
    parser.add_argument("--column", help="with URLs, paths or bytes (default: found by its name)")
    parser.add_argument("--precision", choices=precision.CHOICES, default="auto")
    parser.add_argument("--model", type=Path, default=MODELS, help="folder with version folders")
    parser.add_argument("--workers", type=int, help="processors that compute (default: all)")
    parser.add_argument("--rows-per-file", type=int, default=ROWS_PER_FILE)
    parser.add_argument("--address", help="of a Ray cluster (default: this machine)")
    parser.add_argument("--cost-per-hour", type=float, default=0.0, help="of all machines together")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()

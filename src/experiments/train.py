"""The command line of `train.py`: options and words, checked and composed before anything that trains is loaded (`train_work.py`)."""

from collections.abc import Sequence

from ..config.words import key_of
from ..errors import UserError
from ..lazy import later
from ..report.options import add_report_arguments
from ..sweep.cli import SuggestingParser, add_common_arguments
from .classify.compose import compose_all, experiments

EXAMPLES = (
    "python -m train experiment=smoke/digits",
    "python -m train experiment=lra/s4-PTD-cifar optimizer.lr=0.005 trainer.max_epochs=100 wandb=null",
    "python -m train -m experiment=lra/s4d-cifar train.seed=0,1,2 model.layer.init=legs,diag-lin --num_cpus 2",
    "python -m train experiment=lra/s4d-cifar train.mode=test train.ckpt=runs/train-lra-s4d-cifar/0123456789ab/best.pt",
    "torchrun --nproc_per_node=2 train.py experiment=lra/s5-imdb",
)


def main(argv: Sequence[str] | None = None) -> int:
    """The script; returns its exit code."""
    args, words = _parser().parse_words(argv)
    words = [*words, *_seed_words(args.seeds, words)]
    args.multirun = args.multirun or args.seeds is not None
    composed = compose_all(words, args.multirun)
    return later("experiments.train_work:start")(composed, args)


def _seed_words(seeds: Sequence[int] | None, words: Sequence[str]) -> list[str]:
    """--seeds as a word."""
    if seeds is None:
        return []
    if "train.seed" in map(key_of, words):
        raise UserError("train.seed is given twice: by --seeds and by a word")
    return [f"train.seed={','.join(map(str, seeds))}"]


def _parser() -> SuggestingParser:
    parser = SuggestingParser(
        prog="train.py",
        usage="%(prog)s [options] [experiment=NAME] [key=value | group=file | ~key | +key=value ...]",
        description="Trains a model on a task; the files in configs/ say how, and every key of them can be set here.",
        epilog="\n".join(
            ["examples:", *(f"  {x}" for x in EXAMPLES), "", "experiments:", *(f"  {x}" for x in experiments())]
        ),
    )
    add = parser.add_argument
    add("-m", "--multirun", action="store_true", help="one run for each combination of values given as a,b,c")
    add("--cfg", choices=("job",), help="print the composed config and stop")
    add("--resolve", action="store_true", help="accepted: --cfg always shows values, not interpolations")
    add_common_arguments(parser, project_name="ssm-experiments", as_published=False)
    add_report_arguments(parser, "of -m: ")
    parser.set_defaults(out=None, device=None, wandb=None, project_name=None, seeds=None, num_cpus=1)
    return parser

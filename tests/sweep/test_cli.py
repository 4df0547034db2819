"""The shared options: every wrong value is one line on stderr and exit code 2."""

import pytest

from src.sweep.cli import SuggestingParser, add_common_arguments, gpu_list, positive_int, seed_list


@pytest.fixture
def parser() -> SuggestingParser:
    parser = SuggestingParser(prog="toy.py", description="A toy.", examples=["python toy.py --seeds 5"])
    add_common_arguments(parser, project_name="Toy")
    parser.add_argument("--experiment", choices=["real", "complex"], required=True)
    return parser


def test_defaults_and_values(parser):
    plain = parser.parse_args(["--experiment", "real"])
    assert (plain.device, plain.seeds, plain.out, plain.launcher) == ("auto", (0, 1, 2), "runs", "process")
    assert (plain.wandb, plain.project_name) == ("auto", "Toy")
    assert [plain.dry_run, plain.retry_failed, plain.as_published] == [False] * 3
    assert 1 <= plain.num_cpus <= 4
    assert (plain.gpus, plain.runs_per_gpu) == (None, 1)
    words = "--experiment complex --num_cpus 7 --seeds 0,3,7 --wandb offline --launcher ray --device cpu --dry_run"
    given = parser.parse_args(words.split())
    assert (given.num_cpus, given.seeds, given.wandb, given.dry_run) == (7, (0, 3, 7), "offline", True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--num_cpu 3", "unknown argument '--num_cpu'; did you mean '--num_cpus'?"),
        ("--num-cpus=3", "unknown argument '--num-cpus'; did you mean '--num_cpus'?"),
        ("stray", "unknown argument 'stray'"),
        ("--num_cpus 0", "--num_cpus: expected a whole number of at least 1, got '0'"),
        ("--num_cpus two", "expected a whole number of at least 1, got 'two'"),
        ("--num_cpus 1.5", "expected a whole number of at least 1, got '1.5'"),
        ("--num_cpus", "--num_cpus: expected one argument"),
        ("--seeds 0", "expected how many seeds (3) or which (0,3,7 or 7,), got '0'"),
        ("--seeds 1,1", "a seed is listed twice in '1,1'"),
        ("--seeds 1,a", "got '1,a'"),
        ("--seeds=-1", "got '-1'"),
        ("--gpus all", "--gpus: expected auto or which GPUs (0 or 0,2), got 'all'"),
        ("--gpus 0,", "expected auto or which GPUs (0 or 0,2), got '0,'"),
        ("--gpus=-1", "got '-1'"),
        ("--gpus cuda:0", "got 'cuda:0'"),
        ("--gpus 1,0,1", "a GPU is listed twice in '1,0,1'; more runs on one are --runs_per_gpu"),
        ("--runs_per_gpu 0", "--runs_per_gpu: expected a whole number of at least 1, got '0'"),
        ("--gpu 0", "unknown argument '--gpu'; did you mean '--gpus'?"),
        ("--device gpu", "'gpu' is not a choice"),
        ("--device cudaa", "'cudaa' is not a choice; did you mean 'cuda'?"),
        ("--launcher rey", "did you mean 'ray'?"),
        ("--wandb on", "'on' is not a choice"),
        ("--experiment complx", "did you mean 'complex'?"),
    ],
)
def test_wrong_values_are_one_line(parser, capsys, words, message):
    needed = [] if "--experiment" in words else ["--experiment", "real"]
    with pytest.raises(SystemExit) as stop:
        parser.parse_args([*needed, *words.split()])
    assert stop.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert message in said.err


def test_a_missing_option_is_named(parser, capsys):
    with pytest.raises(SystemExit):
        parser.parse_args([])
    assert "required: --experiment" in capsys.readouterr().err


def test_help_shows_the_examples_and_defaults(parser, capsys):
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(["--help"])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert "examples:\n  python toy.py --seeds 5" in said
    assert "(default: Toy)" in said


def test_seed_lists():
    assert seed_list("3") == (0, 1, 2)
    assert seed_list("7,") == (7,)
    assert seed_list("5,2") == (5, 2)
    assert positive_int("12") == 12


def test_gpu_lists():
    assert gpu_list("auto") == "auto"
    assert gpu_list("0,2") == (0, 2)
    assert gpu_list("3") == (3,)

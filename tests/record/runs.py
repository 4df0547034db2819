"""What is recorded: short commands of the five scripts that together run every layer and both fields on embedded data.

Each entry names its runs; a command is written in words that both states of the repository understand, so that a change of an
option's spelling does not hide a change of a result.
"""

THEORY = "train_theory.py --seeds 1 --num_cpus 1 --wandb disabled --num_epochs 1500 --set N=16 lr=1e-4 task_name=[copy,random,oscillation]"
MAMBA = (
    "train_selectivity.py --seeds 1 --num_cpus 1 --wandb disabled --overrides train.max_steps=40 dataset.epoch_size=160 test_size=20"
    " model.ssm_type=[S6-Real,S6-Complex]"
)
DELAY = f"{MAMBA} dataset.lag=4 dataset.extra=4"
HEAD = f"{MAMBA} dataset.seq_len=16 dataset.induction_len=8"
MIXED = " model.B_is_selective=false model.C_is_selective=true model.dt_is_selective=false"
SMALL = "--dataset digits --epochs 1 --seeds 1 --num_cpus 1 --wandb disabled --n_layers 2 --d_model 16 --n 8"
ROBUST = f"robustness.py {SMALL} --perturbation ptbHiPPO8.mat"
FEW = " --set test_size=64"
TRAIN = (
    "-m train experiment=smoke/digits wandb=null trainer.max_epochs=1 trainer.limit_train_batches=6 trainer.limit_val_batches=2"
    " trainer.limit_test_batches=2 model.n_layers=2 model.d_model=16"
)

COMMANDS = {
    "theory real": THEORY + " --experiment real",
    "theory complex": THEORY + " --experiment complex",
    "theory as published": THEORY + " --experiment real --as_published",
    "selectivity delay": DELAY + " --config delay.yaml",
    "selectivity delay, C alone selective": DELAY + MIXED + " --config delay.yaml",
    "selectivity induction head": HEAD + " --config induction.yaml",
    "selectivity as published": HEAD + " --config induction.yaml --as_published",
    "robustness": f"{ROBUST} --models s4d,s4-ptd,s4 --noise all{FEW}",
    "robustness S5": f"{ROBUST} --models s5,s5-ptd --noise none{FEW}",
    "robustness as published": f"{ROBUST} --models s4-ptd --noise none --as_published{FEW}",
    "ablation as published": f"ablation.py {SMALL} --delta 100 --as_published{FEW}",
    "ablation": f"ablation.py {SMALL} --size 0.1{FEW}",
    "train S4": TRAIN + " model/layer=s4 model.layer.B_init=exact",
    "train S4D": TRAIN + " model/layer=s4d",
    "train S4D-Real": TRAIN + " model/layer=s4d model.layer.is_real=true model.layer.init=diag-real",
    "train S4-PTD": TRAIN + " model/layer=s4-ptd",
    "train S5": TRAIN + " model=s5 ++model.layer.init=legs ~model.layer.init model.layer.blocks=2",
    "train S5-PTD": TRAIN + " model=s5-ptd ++model.layer.init=legs ~model.layer.init model.layer.blocks=2",
}

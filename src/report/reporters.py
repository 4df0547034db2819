"""Which report an experiment has, by how its name starts; a report is loaded when it is asked for."""

from ..lazy import later

THEORY = "theory"
SELECTIVITY = "selectivity"
ROBUSTNESS = "robustness"
ABLATION = "ablation"
SINUSOID = "sinusoid"
TRAIN = "train-"
REPORTERS = {
    THEORY: later("report.theory:report"),
    SELECTIVITY: later("report.selectivity:report"),
    ROBUSTNESS: later("report.robustness:report"),
    ABLATION: later("report.ablation:report"),
    SINUSOID: later("report.sinusoid:report"),
    TRAIN: later("report.train:report"),
}

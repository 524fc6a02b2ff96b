# Needs: results/datasets/{noise}/{train,val}/ of the noises a model is trained on
# Makes: results/models/{model}/model.pt    (weights and all that applying them needs)
#        results/models/{model}/metrics.csv (loss and learning rate at every checkpoint)
# Models: one specialist for each noise, named after it; universal; paper_like_{noise}.
# Expensive: re-run only when data, options or its recipe change. A training that was
# interrupted goes on from the last checkpoint (results/models/{model}/work-*/last.ckpt).

TRAINED_BY_NAME = [
    "gaussian",
    "salt_pepper",
    "poisson",
    "background_gaussian",
    "universal",
]


# Of any further noise; those of the paper have rules of their own below, so that a
# profile can give each its own resources.
rule train:
    input:
        unpack(training_data),
    output:
        model="results/models/{model}/model.pt",
        metrics=report(
            "results/models/{model}/metrics.csv",
            category="Trainings",
            labels={"model": "{model}"},
            caption="../report/training.rst",
        ),
    log:
        "results/logs/train/{model}.log",
    benchmark:
        "results/benchmarks/train/{model}.tsv"
    wildcard_constraints:
        model=f"(?!({'|'.join(TRAINED_BY_NAME)})/|paper_like_)[a-z0-9_]+",
    priority: 10
    conda:
        "../../envs/torch.yaml"
    params:
        model=lambda wildcards: MODELS[wildcards.model],
        recipe=recipe_of("train.py"),
    message:
        "Training the denoiser {wildcards.model}"
    script:
        "../scripts/train.py"


use rule train as train_gaussian with:
    wildcard_constraints:
        model="gaussian",


use rule train as train_salt_pepper with:
    wildcard_constraints:
        model="salt_pepper",


use rule train as train_poisson with:
    wildcard_constraints:
        model="poisson",


use rule train as train_background_gaussian with:
    wildcard_constraints:
        model="background_gaussian",


# the longest, so it comes first
use rule train as train_universal with:
    wildcard_constraints:
        model="universal",
    priority: 11


use rule train as train_paper_like with:
    wildcard_constraints:
        model="paper_like_[a-z0-9_]+",

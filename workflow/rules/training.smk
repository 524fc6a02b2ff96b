# Needs: results/datasets/{noise}/{train,val}/
# Makes: results/models/{noise}/model.pt    (weights and all that applying them needs)
#        results/models/{noise}/metrics.csv (loss and learning rate at every checkpoint)
# Dear: re-run only when data, options or training.RECIPE change. A training that was
# interrupted goes on from the last checkpoint (results/models/{noise}/work-*/last.ckpt).

TRAINED_BY_NAME = ["gaussian", "salt_pepper", "poisson", "background_gaussian"]


# Of any further noise; those of the paper have rules of their own below, so that a
# profile can give each its own resources.
rule train:
    input:
        train_clean="results/datasets/{noise}/train/clean.tif",
        train_noisy="results/datasets/{noise}/train/noisy.tif",
        train_manifest="results/datasets/{noise}/train/manifest.json",
        val_clean="results/datasets/{noise}/val/clean.tif",
        val_noisy="results/datasets/{noise}/val/noisy.tif",
        val_manifest="results/datasets/{noise}/val/manifest.json",
    output:
        model="results/models/{noise}/model.pt",
        metrics="results/models/{noise}/metrics.csv",
    log:
        "results/logs/train/{noise}.log",
    benchmark:
        "results/benchmarks/train/{noise}.tsv"
    wildcard_constraints:
        noise=f"(?!({'|'.join(TRAINED_BY_NAME)})/)[a-z0-9_]+",
    priority: 10
    conda:
        "../../envs/torch.yaml"
    params:
        seed=config["seed"],
        c_noise=config["datasets"]["c_noise_train"],
        options=config["training"],
        recipe=recipe("learning.training"),
    message:
        "Training the denoiser for {wildcards.noise} noise"
    script:
        "../scripts/train.py"


use rule train as train_gaussian with:
    wildcard_constraints:
        noise="gaussian",


use rule train as train_salt_pepper with:
    wildcard_constraints:
        noise="salt_pepper",


use rule train as train_poisson with:
    wildcard_constraints:
        noise="poisson",


use rule train as train_background_gaussian with:
    wildcard_constraints:
        noise="background_gaussian",

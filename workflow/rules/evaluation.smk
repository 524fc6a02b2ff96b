# Needs: results/models/*/model.pt, results/datasets/{noise}/{val,test}/
# Makes: results/evaluation/{noise}/quality.csv     (every method on one noise)
#        results/evaluation/{noise}/predictions.tif (first test image at every C, by its specialist)
#        results/evaluation/quality.csv             (all of them)


rule evaluate:
    input:
        models=expand("results/models/{trained_on}/model.pt", trained_on=NOISES),
        val_clean="results/datasets/{noise}/val/clean.tif",
        val_noisy="results/datasets/{noise}/val/noisy.tif",
        val_manifest="results/datasets/{noise}/val/manifest.json",
        test_clean="results/datasets/{noise}/test/clean.tif",
        test_noisy="results/datasets/{noise}/test/noisy.tif",
        test_manifest="results/datasets/{noise}/test/manifest.json",
    output:
        quality="results/evaluation/{noise}/quality.csv",
        blur="results/evaluation/{noise}/tuned_blur.csv",
        predictions="results/evaluation/{noise}/predictions.tif",
    log:
        "results/logs/evaluate/{noise}.log",
    benchmark:
        "results/benchmarks/evaluate/{noise}.tsv"
    conda:
        "../../envs/torch.yaml"
    params:
        c_noise_train=config["datasets"]["c_noise_train"],
        blur=config["evaluation"]["blur"],
        code=code_digest("judging.evaluation", "storage"),
    message:
        "Evaluating every method on {wildcards.noise} noise"
    script:
        "../scripts/evaluate.py"


rule collect_quality:
    input:
        tables=expand("results/evaluation/{noise}/quality.csv", noise=NOISES),
    output:
        table="results/evaluation/quality.csv",
    log:
        "results/logs/collect_quality.log",
    benchmark:
        "results/benchmarks/collect_quality.tsv"
    conda:
        "../../envs/report.yaml"
    message:
        "Collecting the quality tables"
    script:
        "../scripts/collect_quality.py"

# Needs: results/models/*/model.pt, results/datasets/{noise}/{val,test}/, structures, joints
# Makes: results/evaluation/detector.json            (what finds pores and defects, for all)
#        results/evaluation/{noise}/quality.csv      (every method on one noise)
#        results/evaluation/{noise}/fidelity.csv
#        results/evaluation/{noise}/defects.csv      (which kinds of defect are found)
#        results/evaluation/{noise}/tuned.csv        (parameters of the classical methods)
#        results/evaluation/{noise}/{cnn,universal,paper_like}.tif
#                                  (first test image at every C: denoised, sigma)
#        results/evaluation/{noise}/worst.tif        (our networks' worst frames)
#        results/evaluation/{quality,fidelity,defects}.csv   (all of them)
# With several crystals also crystals.csv, quality and fidelity of each; the others are pooled.


rule calibrate_detector:
    input:
        clean=f"results/datasets/{NOISES[0]}/train/clean.tif",
        noisy=f"results/datasets/{NOISES[0]}/train/noisy.tif",
        manifest=f"results/datasets/{NOISES[0]}/train/manifest.json",
        joints="results/mosaics/train/joints.json",
        structures="results/structures/structures.csv",
    output:
        detector="results/evaluation/detector.json",
    log:
        "results/logs/calibrate_detector.log",
    benchmark:
        "results/benchmarks/calibrate_detector.tsv"
    conda:
        "../../envs/torch.yaml"
    params:
        feature=MODE.feature,
        n_crystals=len(CRYSTALS),
        code=recipe_of("calibrate_detector.py"),
    message:
        "Calibrating the detector of pores and defects"
    script:
        "../scripts/calibrate_detector.py"


rule evaluate:
    input:
        models=lambda wildcards: [
            f"results/models/{model}/model.pt"
            for model, about in MODELS.items()
            if about["method"] != "paper_like"
            or about["trained_on"] == wildcards.noise
        ],
        detector="results/evaluation/detector.json",
        structures="results/structures/structures.csv",
        joints="results/mosaics/test/joints.json",
        val_clean="results/datasets/{noise}/val/clean.tif",
        val_noisy="results/datasets/{noise}/val/noisy.tif",
        val_manifest="results/datasets/{noise}/val/manifest.json",
        test_clean="results/datasets/{noise}/test/clean.tif",
        test_noisy="results/datasets/{noise}/test/noisy.tif",
        test_manifest="results/datasets/{noise}/test/manifest.json",
    output:
        **crystal_tables(),
        quality="results/evaluation/{noise}/quality.csv",
        fidelity="results/evaluation/{noise}/fidelity.csv",
        defects="results/evaluation/{noise}/defects.csv",
        tuned="results/evaluation/{noise}/tuned.csv",
        cnn="results/evaluation/{noise}/cnn.tif",
        universal="results/evaluation/{noise}/universal.tif",
        paper_like="results/evaluation/{noise}/paper_like.tif",
        worst="results/evaluation/{noise}/worst.tif",
    log:
        "results/logs/evaluate/{noise}.log",
    benchmark:
        "results/benchmarks/evaluate/{noise}.tsv"
    conda:
        "../../envs/torch.yaml"
    params:
        c_noise_train=config["datasets"]["c_noise_train"],
        patch=config["training"]["patch"],
        seed=config["seed"],
        crystals=[crystal_name(number) for number in range(len(CRYSTALS))],
        code=recipe_of("evaluate.py"),
    message:
        "Evaluating every method on {wildcards.noise} noise"
    script:
        "../scripts/evaluate.py"


rule collect_tables:
    input:
        tables=expand("results/evaluation/{noise}/{{table}}.csv", noise=NOISES),
    output:
        table=report(
            "results/evaluation/{table}.csv",
            category="Results",
            labels={"table": "{table}"},
            caption="../report/table.rst",
        ),
    log:
        "results/logs/collect_tables/{table}.log",
    benchmark:
        "results/benchmarks/collect_tables/{table}.tsv"
    wildcard_constraints:
        table="quality|fidelity|crystals|defects",
    conda:
        "../../envs/report.yaml"
    message:
        "Collecting the tables of {wildcards.table}"
    script:
        "../scripts/collect_tables.py"

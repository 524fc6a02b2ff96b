# Needs: configuration `structures`.
# Makes: results/structures/{structure}.extxyz


rule build_structure:
    output:
        atoms="results/structures/{structure}.extxyz",
    log:
        "results/logs/build_structure/{structure}.log",
    benchmark:
        "results/benchmarks/build_structure/{structure}.tsv"
    conda:
        "../../envs/dft.yaml"
    params:
        seed=config["seed"],
        options={k: v for k, v in config["structures"].items() if k != "count"},
        code=code_digest("groundtruth.structures", "seeding"),
    message:
        "Building structure {wildcards.structure}"
    script:
        "../scripts/build_structure.py"

# Needs: configuration `structures`, the file `structures.crystal` names if it names one.
# Makes: results/structures/pristine.extxyz     (the crystal as a supercell)
#        results/structures/{structure}.extxyz  (with its family, parameters and defects)
#        results/structures/structures.csv      (one row per structure)


rule build_crystal:
    input:
        file=crystal_file(),
    output:
        atoms="results/structures/pristine.extxyz",
    log:
        "results/logs/build_crystal.log",
    benchmark:
        "results/benchmarks/build_crystal.tsv"
    conda:
        "../../envs/dft.yaml"
    params:
        options={
            k: config["structures"][k]
            for k in ("lattice_constant", "repeat", "vacuum")
        },
        name=config["structures"]["crystal"],
        elements=foreign_elements(),
        basis=config["dft"]["basis"],
        xc=config["dft"]["xc"],
        code=code_digest("groundtruth.crystals"),
    message:
        "Building the pristine supercell"
    script:
        "../scripts/build_crystal.py"


rule build_structure:
    input:
        pristine="results/structures/pristine.extxyz",
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
        options=disorder_of,
        code=code_digest("groundtruth.structures", "seeding"),
    message:
        "Building structure {wildcards.structure}"
    script:
        "../scripts/build_structure.py"


rule list_structures:
    input:
        atoms=[f"results/structures/{s}.extxyz" for s in all_structures()],
    output:
        table=report(
            "results/structures/structures.csv",
            category="Ground truth",
            labels={"table": "structures"},
            caption="../report/structures.rst",
        ),
    log:
        "results/logs/list_structures.log",
    benchmark:
        "results/benchmarks/list_structures.tsv"
    conda:
        "../../envs/dft.yaml"
    params:
        code=code_digest("groundtruth.structures"),
    message:
        "Listing the structures"
    script:
        "../scripts/list_structures.py"
